//! Keras' names: a layer's class and a running number.
//!
//! The number says which layer it is by its order among those of its class, not by itself: the second network of a process begins at
//! `conv2d_94`. And there are two orders. `.h5` files number layers as they were made, which is the order of torchvision's modules;
//! Keras 3 numbers them anew as they stand in `model.layers`, which is the order of [`inception::keras`](crate::inception::keras).

use std::collections::BTreeMap;

use super::{Named, Names};
use crate::inception::keras::{LayerKind, layers};
use crate::inception::{FEATURES, Network};
use crate::weights::checkpoint::StoredTensor;
use crate::weights::classifier::is_imagenet;

/// The classes that are looked for, with the stems of their names.
const CONVOLUTION: &str = "conv2d";
const BATCH_NORM: &str = "batch_normalization";

/// Where a stored tensor belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'n> {
    /// Of the layers: the groups that they are in, where these number them.
    scope: &'n str,
    layer: &'n str,
    variable: &'n str,
}

impl<'n> Place<'n> {
    /// `layers/conv2d_1/vars/0`, or `model_weights/conv2d_1/conv2d_1/kernel:0`.
    fn of(name: &'n str) -> Option<Self> {
        let (path, variable) = name.rsplit_once('/')?;
        let scope_and_layer = |path: &'n str| path.rsplit_once('/').unwrap_or(("", path));
        if let Some(path) = path.strip_suffix("/vars") {
            let (scope, layer) = scope_and_layer(path);
            return Some(Self { scope, layer, variable });
        }
        let (_, layer) = scope_and_layer(path);
        Some(Self { scope: "", layer, variable: variable.strip_suffix(":0").unwrap_or(variable) })
    }

    /// The class and the running number, 0 where there is none.
    fn class(&self) -> Option<(&'static str, usize)> {
        [CONVOLUTION, BATCH_NORM].into_iter().find_map(|class| match self.layer.strip_prefix(class)? {
            "" => Some((class, 0)),
            rest => Some((class, rest.strip_prefix('_')?.parse().ok()?)),
        })
    }

    /// Whether variables are numbered, which is so since Keras 3.
    fn is_numbered(&self) -> bool {
        self.variable.bytes().all(|byte| byte.is_ascii_digit())
    }
}

/// A layer's tensors, by the names of their variables.
type Variables<'n, 'a> = BTreeMap<&'n str, (&'n str, &'n StoredTensor<'a>)>;

/// The tensors under torchvision's names, their axes turned; none where there are not as many layers as Inception-v3 has.
pub(super) fn rename<'a>(network: &Network, tensors: &BTreeMap<String, StoredTensor<'a>>) -> Option<Named<'a>> {
    let mut classes: BTreeMap<(&str, &str), BTreeMap<usize, Variables<'_, 'a>>> = BTreeMap::new();
    let mut dense: BTreeMap<(&str, &str), Variables<'_, 'a>> = BTreeMap::new();
    let mut beyond = Vec::new();
    let mut numbered = false;
    for (name, tensor) in tensors {
        let Some(place) = Place::of(name) else {
            beyond.push(name.clone());
            continue;
        };
        let variables = match place.class() {
            Some((class, number)) => {
                numbered |= place.is_numbered();
                classes.entry((place.scope, class)).or_default().entry(number).or_default()
            }
            None => dense.entry((place.scope, place.layer)).or_default(),
        };
        variables.insert(place.variable, (name, tensor));
    }

    let all = network.convolutions().count();
    let is_network = |scope: &str| {
        [CONVOLUTION, BATCH_NORM].iter().all(|class| classes.get(&(scope, *class)).is_some_and(|of| of.len() == all))
    };
    let scope = classes.keys().map(|(scope, _)| *scope).find(|scope| is_network(scope))?;

    let mut renamed = BTreeMap::new();
    for ((other, class), layers) in &classes {
        if *other != scope {
            beyond.extend(layers.values().flatten().map(|(_, (name, _))| (*name).to_owned()));
            continue;
        }
        for (node, variables) in nodes(network, class, numbered).zip(layers.values()) {
            let of_four = variables.len() > 3;
            for (variable, (_, tensor)) in variables {
                let (part, axes) = part(class, variable, of_four);
                let tensor = axes.and_then(|axes| tensor.permuted(axes)).unwrap_or_else(|| (*tensor).clone());
                renamed.insert(format!("{node}.{part}"), tensor);
            }
        }
    }
    for variables in dense.into_values() {
        match classifier(&variables) {
            Some([weight, bias]) if !renamed.contains_key("fc.weight") => {
                renamed.insert("fc.weight".to_owned(), weight);
                renamed.insert("fc.bias".to_owned(), bias);
            }
            _ => beyond.extend(variables.into_values().map(|(name, _)| name.to_owned())),
        }
    }
    Some(Named { names: Names::Keras, tensors: renamed, beyond })
}

/// The names of the nodes in the order in which layers of a class are numbered.
fn nodes<'n>(network: &'n Network, class: &str, numbered: bool) -> Box<dyn Iterator<Item = &'n str> + 'n> {
    if !numbered {
        return Box::new(network.convolutions().map(|(node, _)| node.name.as_str()));
    }
    let kind = if class == CONVOLUTION { LayerKind::Conv2D } else { LayerKind::BatchNormalization };
    let of_kind = layers(network).into_iter().filter(move |layer| layer.kind == kind);
    Box::new(of_kind.map(|layer| network.nodes()[layer.node].name.as_str()))
}

/// torchvision's name of a variable within its node, and where its axes go. Numbered variables stand in the order in which Keras
/// makes them: a scale, where there is one, before the other three. One that is not known keeps its name.
fn part(class: &str, variable: &str, has_scale: bool) -> (String, Option<&'static [usize]>) {
    const KERNEL: &[usize] = &[3, 2, 0, 1];
    let numbered = |names: [&'static str; 4]| {
        let number: usize = variable.parse().ok()?;
        names.get(number + usize::from(!has_scale)).copied()
    };
    if class == CONVOLUTION {
        return match variable {
            "kernel" | "0" => ("conv.weight".to_owned(), Some(KERNEL)),
            "bias" | "1" => ("conv.bias".to_owned(), None),
            other => (format!("conv.{other}"), None),
        };
    }
    let name = numbered(["gamma", "beta", "moving_mean", "moving_variance"]).unwrap_or(variable);
    let part = match name {
        "gamma" => "bn.weight".to_owned(),
        "beta" => "bn.bias".to_owned(),
        "moving_mean" => "bn.running_mean".to_owned(),
        "moving_variance" => "bn.running_var".to_owned(),
        other => format!("bn.{other}"),
    };
    (part, None)
}

/// Weight and bias of a dense layer that takes the features and gives as many numbers as ImageNet has classes.
fn classifier<'a>(variables: &Variables<'_, 'a>) -> Option<[StoredTensor<'a>; 2]> {
    let get = |names: [&str; 2]| names.into_iter().find_map(|name| variables.get(name)).map(|(_, tensor)| *tensor);
    let (kernel, bias) = (get(["kernel", "0"])?, get(["bias", "1"])?);
    match (kernel.shape(), bias.shape()) {
        (&[FEATURES, classes], &[biases]) if classes == biases && is_imagenet(classes) => {
            Some([kernel.permuted(&[1, 0])?, bias.clone()])
        }
        _ => None,
    }
}
