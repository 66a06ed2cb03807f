//! headstock turns a folder of images into a classifier.
//!
//! A folder of images goes in at the front door and walks one way through the rooms; nothing walks back.
//!
//! ```text
//! images ─▶ dataset ─▶ image ─▶ engine(inception, weights) ─▶ embeddings
//!           what to    bytes     runs the network              rows on disk
//!           read       to pixels
//!           └────────── pipeline: the four, streaming ─────────┘
//! ```
//!
//! | room | what it holds |
//! |---|---|
//! | [`dataset`] | what to read: files, their classes |
//! | [`image`] | bytes to pixels: decode, orient, resize, the presets of preprocessing |
//! | [`inception`] | the network's description, its variants, Keras' numbering, the freeze point |
//! | [`hub`] | files of the Hugging Face Hub, in the cache that its programs share |
//! | [`weights`] | the network's numbers, from a file or from the binary itself |
//! | [`engine`] | interpreters of the description |
//! | [`pipeline`] | decoding ahead of the network, batches, the journal that a killed run goes on from |
//! | [`embeddings`] | the files that hold the rows |
//! | [`fid`] | how far apart two sets of rows are: FID and KID |
//! | [`finetune`] | training the last layers together with a head |
//! | [`head`] | classifiers on rows, and the file that holds one |
//! | [`history`] | how training went, step by step |
//! | [`model`] | a whole classifier as one file: the network that was trained, and its head |
//! | [`metrics`] | how good decisions are |
//! | [`scores`] | the files that hold decisions |
//! | [`explain`] | where in an image a head sees its class |
//! | [`report`] | one page that shows a head and what it did |
//! | [`export`] | a classifier for other programs: ONNX, torchvision, JSON |
//! | [`onnx`] | graphs of the network, as exporters write them |
//! | [`tensor_file`] | what all kinds of our files share: a header that is not trusted |
//! | [`commands`] | one file a verb: flags in, text out |

pub mod cli;
pub mod commands;
mod counts;
pub mod dataset;
pub mod embeddings;
pub mod engine;
pub mod explain;
pub mod export;
pub mod fid;
pub mod finetune;
pub mod head;
pub mod history;
pub mod hub;
pub mod image;
pub mod inception;
pub mod metrics;
pub mod model;
pub mod onnx;
mod panics;
pub mod pipeline;
mod printable;
pub mod report;
pub mod scores;
mod sha256;
pub mod tensor_file;
mod vectorised;
pub mod weights;
pub mod whole_file;
