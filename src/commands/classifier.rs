//! The classifier that the flags name: a head, and the flags of the network that it goes on; or the network's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use ndarray::Array2;
use serde_json::Value;

use super::{backbone, provenance};
use crate::cli::{BackboneArgs, ClassifierArgs, WeightsSource};
use crate::head::{Head, Linear, Model};
use crate::image::Preset;
use crate::inception::FEATURES;
use crate::model::ModelFile;
use crate::sha256;

/// A head, and where its network is to be had.
pub(super) struct Classifier {
    /// The file of the head or of the model.
    pub(super) path: PathBuf,
    /// Of that file.
    pub(super) sha256: String,
    pub(super) head: Head,
    /// A model's network is the model's.
    pub(super) backbone: BackboneArgs,
    /// How rows that do not belong to the head can be made anew.
    pub(super) remedy: String,
}

impl Classifier {
    /// Reads the head, or the head of the model.
    pub(super) fn open(args: &ClassifierArgs, backbone: &BackboneArgs) -> Result<Self> {
        match (&args.head, &args.model) {
            (_, Some(model)) => Self::of_model(model),
            (Some(head), None) => Self::of_head(head, backbone),
            (None, None) => bail!("give --head or --model"),
        }
    }

    /// The classifier that the network was trained with, as a head: what it says of ImageNet's classes.
    pub(super) fn of_imagenet(backbone: &BackboneArgs, preset: Option<Preset>) -> Result<Self> {
        let weights = backbone::weights(backbone)?;
        let path: PathBuf = match &backbone.weights {
            Some(source) => source.to_string().into(),
            None => "the embedded weights".into(),
        };
        let classifier = weights.classifier().with_context(|| {
            format!(
                "there is no classifier of ImageNet in {}: give a file that holds one by --weights, such as torchvision's or timm's \
                 checkpoint, or Keras' with its top",
                path.display()
            )
        })?;
        let (preprocess, background) = backbone::preprocess_of(preset, None, &weights)?;
        let weight =
            Array2::from_shape_vec((classifier.outputs(), FEATURES), classifier.weight.flatten_all()?.to_vec1()?)?;
        let head = Head {
            classes: classifier.classes(),
            model: Model::Linear(Linear { weight, bias: classifier.bias.to_vec1()? }),
            temperature: 1.0,
            thresholds: None,
            provenance: provenance::of_run(weights.sha256(), weights.variant().to_string(), &preprocess, background)?,
            fit: Value::Null,
            held_out: None,
        };
        Ok(Self {
            sha256: weights.sha256().to_owned(),
            path,
            head,
            backbone: backbone.clone(),
            remedy: "score the images".to_owned(),
        })
    }

    fn of_model(path: &Path) -> Result<Self> {
        let head = ModelFile::read(path)?.head;
        Ok(Self {
            path: path.to_owned(),
            sha256: head.provenance.weights.clone(),
            head,
            backbone: BackboneArgs {
                weights: Some(WeightsSource::File(path.to_owned())),
                variant: None,
                onnx_output: None,
            },
            remedy: format!("extract them by --weights {} and nothing else said", path.display()),
        })
    }

    fn of_head(path: &Path, backbone: &BackboneArgs) -> Result<Self> {
        let head = Head::read(path)?;
        let sha256 = sha256::of_file(path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            sha256,
            head,
            backbone: backbone.clone(),
            remedy: "extract them again as those were, or fit a head on them".to_owned(),
        })
    }
}
