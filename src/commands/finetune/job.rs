//! All that is opened and checked before any work, and what stands for it in files that are gone on from.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::split;
use crate::cli::{BatchNormKind, ClassWeight, FinetuneArgs, OptimizerKind, ScheduleKind, WeightsSource};
use crate::commands::console::Console;
use crate::commands::hardware::Hardware;
use crate::commands::{backbone, image_run};
use crate::counts::count;
use crate::dataset::{self, Dataset};
use crate::engine::trainable::BatchNorm;
use crate::finetune::{Decay, Record, Rule, TrainingParams, Views};
use crate::head::Head;
use crate::image::{Augmentation, DecodeOptions, is_candidate};
use crate::inception::{Border, INPUT_SIDE, Network};
use crate::pipeline::Loader;
use crate::sha256;
use crate::weights::{Weights, hex};

/// What batch norm's running statistics take from each batch: PyTorch's.
const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// What is to be done.
pub(super) struct Job {
    pub(super) dataset: Dataset,
    pub(super) head: Head,
    pub(super) weights: Weights,
    pub(super) network: Network,
    pub(super) border: Border,
    /// How what crosses it lies in the cache.
    pub(super) record: Record,
    pub(super) views: Arc<Views>,
    pub(super) hardware: Hardware,
    pub(super) params: TrainingParams,
    pub(super) batch_norm: BatchNorm,
    head_sha256: String,
}

impl Job {
    pub(super) fn new(args: &FinetuneArgs, console: Console) -> Result<Self> {
        let head = Head::read(&args.head)?;
        let mut dataset = dataset::list(&args.images, is_candidate)?;
        image_run::require_images(&dataset)?;
        split::take_classes_of(&head, &mut dataset)?;
        split::require_no_part(&head, args)?;
        let without_class = dataset.without_class();
        if without_class > 0 {
            dataset.candidates.retain(|candidate| candidate.class.is_some());
            console
                .say(format_args!("{} in no class folder: left out", count(without_class, "image lies", "images lie")));
        }
        let backbone::OfHead { backbone: weights, preprocess, background } =
            backbone::inception_of_head(&head, &args.backbone)?;
        let network = Network::new(weights.variant());
        let border = Border::new(&network, &args.freeze).context("--freeze")?;
        ensure!(
            !border.past().is_empty(),
            "--freeze {} leaves nothing of the network to train; fit-head trains a head alone",
            args.freeze
        );
        let hardware = Hardware::open(&args.run.hardware, console)?;
        let augmentations: BTreeSet<Augmentation> = args.augmentation.augment.iter().copied().collect();
        let count = if augmentations.is_empty() { 1 } else { args.augmentation.augment_views.get() };
        let options = DecodeOptions { background, max_pixels: args.max_pixels };
        let loader = Loader { root: dataset.root.clone(), options, preprocess };
        Ok(Self {
            record: Record::new(&network, &border, INPUT_SIDE)?,
            views: Arc::new(Views { loader, augmentations, count, seed: args.seed }),
            head_sha256: sha256::of_file(&args.head).with_context(|| format!("cannot read {}", args.head.display()))?,
            batch_norm: match args.training.batch_norm {
                BatchNormKind::Frozen => BatchNorm::Frozen,
                BatchNormKind::Train => BatchNorm::Train { momentum: BATCH_NORM_MOMENTUM },
            },
            params: params(args),
            dataset,
            head,
            weights,
            network,
            border,
            hardware,
        })
    }

    /// What decides the records of the plain views, so that a cache is only taken for what it is.
    pub(super) fn of_plain_views(&self, args: &FinetuneArgs) -> Result<Value> {
        Ok(json!({
            "images": self.images(),
            "weights": self.weights.sha256(),
            "variant": self.weights.variant().to_string(),
            "preprocess": serde_json::to_value(self.views.loader.preprocess)?,
            "background": self.views.loader.options.background,
            "max-pixels": args.max_pixels,
            "freeze": self.crossing(),
            "precision": args.cache.cache_precision.to_string(),
            "device": self.hardware.kind(),
            "engine": args.run.hardware.engine.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        }))
    }

    /// What decides the records of the other views of these candidates.
    pub(super) fn of_other_views(&self, args: &FinetuneArgs, candidates: &[usize]) -> Result<Value> {
        let mut of = self.of_plain_views(args)?;
        of["augment"] = json!(self.views.augmentations);
        of["augment-views"] = json!(self.views.count);
        of["seed"] = json!(args.seed);
        of["candidates"] = json!(hex(&Sha256::digest(json!(candidates).to_string())));
        Ok(of)
    }

    /// What decides the weights that come out.
    pub(super) fn of_training(&self, args: &FinetuneArgs) -> Result<Value> {
        let mut of = self.of_plain_views(args)?;
        let training = &args.training;
        let flags = json!({
            "head": self.head_sha256,
            "freeze": args.freeze.to_string(),
            "validation": args.validation,
            "augment": self.views.augmentations,
            "augment-views": self.views.count,
            "seed": args.seed,
            "epochs": training.epochs,
            "batch-size": training.batch_size,
            "accumulate": training.accumulate,
            "optimizer": format!("{:?}", self.params.rule),
            "learning-rate": training.learning_rate,
            "weight-decay": training.weight_decay,
            "schedule": format!("{:?}", self.params.decay),
            "warmup-steps": training.warmup_steps,
            "clip-norm": training.clip_norm,
            "label-smoothing": training.label_smoothing,
            "class-weight": class_weight(args),
            "batch-norm": format!("{:?}", self.batch_norm),
            "patience": training.patience,
        });
        if let (Some(of), Value::Object(flags)) = (of.as_object_mut(), flags) {
            of.extend(flags);
        }
        Ok(of)
    }

    /// The nodes that cross the border, by name.
    fn crossing(&self) -> Vec<&str> {
        let nodes = self.border.groups().iter().flat_map(|group| &group.nodes);
        nodes.map(|&node| self.network.nodes()[node].name.as_str()).collect()
    }

    /// What stands for all images: paths, sizes, and times of change.
    fn images(&self) -> String {
        let mut images = Sha256::new();
        for candidate in &self.dataset.candidates {
            images.update(candidate.path.as_bytes());
            images.update([0]);
            let metadata = self.dataset.root.join(&candidate.path).metadata().ok();
            let changed = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
            let since = changed.and_then(|changed| changed.duration_since(UNIX_EPOCH).ok());
            images.update(metadata.map_or(0, |metadata| metadata.len()).to_le_bytes());
            images.update(since.map_or(0, |since| since.as_nanos()).to_le_bytes());
        }
        hex(&images.finalize())
    }
}

pub(super) const fn class_weight(args: &FinetuneArgs) -> &'static str {
    match args.training.class_weight {
        ClassWeight::None => "none",
        ClassWeight::Balanced => "balanced",
    }
}

fn params(args: &FinetuneArgs) -> TrainingParams {
    let training = &args.training;
    TrainingParams {
        epochs: training.epochs,
        batch_size: training.batch_size,
        accumulate: training.accumulate,
        learning_rate: training.learning_rate,
        warmup_steps: training.warmup_steps,
        decay: match training.schedule {
            ScheduleKind::Constant => Decay::Constant,
            ScheduleKind::Cosine => Decay::Cosine,
        },
        rule: match training.optimizer {
            OptimizerKind::Sgd => Rule::Sgd { momentum: training.momentum },
            OptimizerKind::Adamw => Rule::ADAMW,
        },
        weight_decay: training.weight_decay,
        clip_norm: training.clip_norm,
        patience: training.patience,
        seed: args.seed,
    }
}

/// Refuses what is written where there is no place for it, or where another file of the run is.
pub(super) fn require_places(args: &FinetuneArgs) -> Result<()> {
    let read = [Some(args.head.as_path()), args.backbone.weights.as_ref().and_then(WeightsSource::path)];
    image_run::require_places(&read, &[("--out", Some(&args.out)), ("--metrics", args.metrics.as_ref())])
}
