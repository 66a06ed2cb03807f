//! The table of layers.

use std::io::{self, Write};

use anyhow::Result;

use crate::cli::{LayersArgs, TableFormat};
use crate::commands::to_stdout;
use crate::counts::thousands;
use crate::inception::keras::{self, Layer, LayerKind};
use crate::inception::{INPUT_SIDE, Network};

/// A line of the table.
struct Line<'a> {
    index: usize,
    layer: &'a Layer,
    node: &'a str,
    block: String,
    kind: String,
    /// `[height, width, channels]`, as Keras writes it.
    shape: [usize; 3],
    parameters: usize,
    frozen: bool,
}

pub(super) fn run(args: &LayersArgs) -> Result<()> {
    let network = Network::new(args.variant);
    let layers = keras::layers(&network);
    let frozen = args.freeze.frozen_layers(&network, &layers)?;
    let trained = args.freeze.trainable_parameters(&network)?;
    let shapes = network.shapes([INPUT_SIDE; 2])?;
    let lines: Vec<Line<'_>> =
        layers.iter().enumerate().map(|(index, layer)| line(&network, &shapes, index, layer, index < frozen)).collect();
    to_stdout(|out| match args.format {
        TableFormat::Csv => write_csv(&lines, out),
        TableFormat::Text => {
            write_text(&lines, out)?;
            let total: usize = lines.iter().map(|line| line.parameters).sum();
            writeln!(out)?;
            writeln!(
                out,
                "{} layers, {} parameters. With --freeze {} the first {frozen} layers stay as they are and {} parameters are trained.",
                lines.len(),
                thousands(total),
                args.freeze,
                thousands(trained)
            )
        }
    })
}

fn line<'a>(network: &'a Network, shapes: &[[usize; 3]], index: usize, layer: &'a Layer, frozen: bool) -> Line<'a> {
    let node = &network.nodes()[layer.node];
    let block = match network.nodes().iter().find(|other| other.name == node.block).and_then(|block| block.keras) {
        Some(keras) => format!("{} = {keras}", node.block),
        None => node.block.to_owned(),
    };
    let kind = match layer.kind {
        LayerKind::BatchNormalization => "batch norm".to_owned(),
        LayerKind::Activation => "relu".to_owned(),
        _ => node.op.to_string(),
    };
    let [channels, height, width] = shapes[layer.node];
    Line {
        index,
        layer,
        node: &node.name,
        block,
        kind,
        shape: [height, width, channels],
        parameters: layer.parameters(network),
        frozen,
    }
}

fn write_text(lines: &[Line<'_>], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{:>5}  {:<24}  {:<18}  {:<24}  {:<24}  {:>10}  {:>10}",
        "index", "Keras", "block", "node", "kind", "shape", "parameters"
    )?;
    for line in lines {
        let [height, width, channels] = line.shape;
        writeln!(
            out,
            "{:>5}  {:<24}  {:<18}  {:<24}  {:<24}  {:>10}  {:>10}  {}",
            line.index,
            line.layer.name,
            line.block,
            line.node,
            line.kind,
            format!("{height}x{width}x{channels}"),
            thousands(line.parameters),
            if line.frozen { "frozen" } else { "trained" },
        )?;
    }
    Ok(())
}

fn write_csv(lines: &[Line<'_>], out: &mut dyn Write) -> io::Result<()> {
    let mut out = csv::Writer::from_writer(out);
    out.write_record([
        "index",
        "keras",
        "class",
        "block",
        "node",
        "kind",
        "height",
        "width",
        "channels",
        "parameters",
        "frozen",
    ])?;
    for line in lines {
        let [height, width, channels] = line.shape.map(|side| side.to_string());
        out.write_record([
            &line.index.to_string(),
            &line.layer.name,
            line.layer.kind.name(),
            &line.block,
            line.node,
            &line.kind,
            &height,
            &width,
            &channels,
            &line.parameters.to_string(),
            &line.frozen.to_string(),
        ])?;
    }
    out.flush()
}
