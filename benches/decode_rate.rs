//! Decoding and resizing alone, on one thread, for `scripts/bench_decode.py`: reads lines `decode REPEATS PATH` or `resize REPEATS
//! PATH`, prints milliseconds an image. Not a statistic by itself; the script takes turns with the peers.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark may stop where it stands, and prints")]

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use headstock::image::{DecodeOptions, Preset, decode};

fn main() {
    let options = DecodeOptions::default();
    let preprocess = Preset::Tf.preprocess();
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let mut words = line.splitn(3, ' ');
        let (what, repeats) = (words.next().unwrap(), words.next().unwrap().parse::<u32>().unwrap());
        let bytes = std::fs::read(words.next().unwrap()).unwrap();
        let picture = decode(&bytes, &options).unwrap();
        let began = Instant::now();
        for _ in 0..repeats {
            match what {
                "decode" => drop(black_box(decode(black_box(&bytes), &options).unwrap())),
                _ => drop(black_box(preprocess.apply(black_box(&picture)))),
            }
        }
        println!("{}", began.elapsed().as_secs_f64() * 1e3 / f64::from(repeats));
    }
}
