//! Checkpoints from strangers: of every kind that is read, small ones that their libraries wrote (`scripts/golden_checkpoints.py`), broken
//! in every way, and files that were made to do harm.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::{Cursor, Read, Write};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::allocations::Taken;
use crate::reading::{Reader, Reading};

/// What a pickle's byte may take: a value, an entry of the stack and one of the memo, each in a list that doubles.
const A_BYTE: usize = 128;

/// Whatever the length: a window and a tree of an inflater, the lists of the readers.
const ALL_TOGETHER: usize = 16 << 20;

/// At once, whatever the length: a list of which a 16-bit number in an HDF5 file says how long it is.
const AT_ONCE: usize = 10 << 20;

/// All tensors of the network as float32, twice, and the largest piece of an HDF5 file in between.
const NETWORK: usize = 2 * 100_000_000 + (64 << 20);

/// A file of `tests/golden/checkpoints.zip`.
fn golden(name: &str) -> Vec<u8> {
    let all = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/checkpoints.zip")).unwrap();
    let member = |archive: &[u8], name: &str| {
        let mut bytes = Vec::new();
        ZipArchive::new(Cursor::new(archive)).unwrap().by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    member(&member(&all, &format!("{name}.zip")), name)
}

const SMALL: [&str; 5] = ["small.pth", "small_legacy.pth", "small_script.pt", "small.h5", "small.keras"];

/// Holds the reader to its promises for a file that is not the network's: what it said of it.
fn refused(reading: &Reading, bytes: &[u8], what: &str) -> String {
    refused_as(reading, bytes, bytes.len(), what)
}

/// The same for one of which something is inflated, to no more than 16 times the file and 64 KiB.
fn refused_inflated(reading: &Reading, bytes: &[u8], what: &str) -> String {
    refused_as(reading, bytes, 16 * bytes.len() + (64 << 10), what)
}

fn refused_as(reading: &Reading, bytes: &[u8], len: usize, what: &str) -> String {
    let (outcome, taken) = watched(reading, bytes, what);
    assert!(taken.peak <= A_BYTE * len + ALL_TOGETHER, "{what}: {taken:?} for a file of {len}");
    assert!(taken.largest <= A_BYTE / 2 * len + AT_ONCE, "{what}: {taken:?} for a file of {len}");
    outcome.expect_err(what)
}

/// The same for one that may be.
fn held(reading: &Reading, bytes: &[u8], what: &str) -> Result<(), String> {
    let (outcome, taken) = watched(reading, bytes, what);
    assert!(taken.peak <= A_BYTE * bytes.len() + ALL_TOGETHER + NETWORK, "{what}: {taken:?}");
    outcome
}

fn watched(reading: &Reading, bytes: &[u8], what: &str) -> (Result<(), String>, Taken) {
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| reading.of(Reader::Weights, bytes)));
    read.unwrap_or_else(|_| panic!("{what}: a panic"))
}

fn says(said: &str, expected: &str) {
    assert!(said.contains(expected), "{said:?} does not say {expected:?}");
}

/// A zip archive.
fn archive(members: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        archive.start_file(*name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// What `torch.save` would have written of a pickle.
fn with_pickle(pickle: &[u8]) -> Vec<u8> {
    archive(&[("a/data.pkl", pickle), ("a/byteorder", b"little"), ("a/data/0", &[0; 64])], CompressionMethod::Stored)
}

/// The pickle of `{name: a tensor of this storage, offset, shape and strides}`.
fn tensor_pickle(name: &str, kind: &str, offset: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    [
        b"\x80\x02}".to_vec(),
        text(name),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{kind}\n").into_bytes(),
        text("0"),
        text("cpu"),
        b"K\x10tQ".to_vec(),
        offset.to_vec(),
        shape.to_vec(),
        strides.to_vec(),
        b"\x89NtRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn small_checkpoints_are_looked_through_to_their_end() {
    let reading = Reading::new();
    // No Inception-v3, which is known when all tensors are.
    for (name, tensors) in SMALL.into_iter().zip([8, 8, 6, 3, 6]) {
        let said = refused(&reading, &golden(name), name);
        says(&said, "holds no Inception-v3");
        assert!(said.contains(&format!("{tensors} tensors")) || name == "small.keras", "{name}: {said}");
    }
}

#[test]
fn sparse_checkpoints_become_the_network_and_take_no_more_than_it() {
    let reading = Reading::new();
    for name in ["sparse.pth", "sparse.h5"] {
        held(&reading, &golden(name), name).unwrap();
    }
}

#[test]
fn checkpoints_cut_anywhere_are_refused() {
    let reading = Reading::new();
    for name in SMALL {
        let bytes = golden(name);
        for len in (0..bytes.len()).step_by(7) {
            refused(&reading, &bytes[..len], &format!("{name} cut at {len}"));
        }
    }
}

#[test]
fn flipped_bits_of_checkpoints_do_no_harm() {
    let reading = Reading::new();
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut flip = |bytes: &mut [u8]| {
        for _ in 0..rng.random_range(1..4) {
            let place = rng.random_range(0..bytes.len());
            bytes[place] ^= 1 << rng.random_range(0..8);
        }
    };
    for name in SMALL {
        let whole = golden(name);
        for case in 0..2000 {
            let mut bytes = whole.clone();
            flip(&mut bytes);
            refused(&reading, &bytes, &format!("{name}, flip {case}"));
        }
    }
    for name in ["sparse.pth", "sparse.h5"] {
        let whole = golden(name);
        for case in 0..40 {
            let mut bytes = whole.clone();
            flip(&mut bytes);
            let _ = held(&reading, &bytes, &format!("{name}, flip {case}"));
        }
    }
}

#[test]
fn large_numbers_anywhere_in_checkpoints_do_no_harm() {
    let reading = Reading::new();
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let numbers: [&[u8]; 6] =
        [&[0xff; 8], &[0xff; 4], &[0, 0, 0, 0x7f], &[0, 0, 0, 0, 1, 0, 0, 0], &[0; 4], &[0x80; 8]];
    for name in SMALL {
        let whole = golden(name);
        for case in 0..1500 {
            let mut bytes = whole.clone();
            let number = numbers[case % numbers.len()];
            let place = rng.random_range(0..bytes.len() - 8);
            bytes[place..place + number.len()].copy_from_slice(number);
            refused(&reading, &bytes, &format!("{name}, number {case}"));
        }
    }
}

#[test]
fn pieces_of_one_checkpoint_in_another_do_no_harm() {
    let reading = Reading::new();
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let files = SMALL.map(|name| (name, golden(name)));
    for case in 0..3000 {
        let (name, into) = &files[rng.random_range(0..files.len())];
        let (_, from) = &files[rng.random_range(0..files.len())];
        let mut range = |bytes: &[u8]| {
            let start = rng.random_range(0..bytes.len());
            start..(start + rng.random_range(0..80)).min(bytes.len())
        };
        let (piece, place) = (range(from), range(into));
        let mut bytes = into.clone();
        bytes.splice(place, from[piece].iter().copied());
        refused(&reading, &bytes, &format!("{name}, splice {case}"));
    }
}

#[test]
fn a_pickle_that_names_code_is_refused_by_that_name() {
    let reading = Reading::new();
    for (pickle, name) in [
        (&b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."[..], "os.system"),
        (b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", "posix.system"),
        (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", "__builtin__.eval"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04exec\x93\x8c\x04pass\x85R.", "builtins.exec"),
        (b"\x80\x02ctorch\nload\n)R.", "torch.load"),
        (b"\x80\x02ctorch._utils\n__import__\n)R.", "torch._utils.__import__"),
        (b"\x80\x02c__torch__.os\nsystem\n)\x81.", "__torch__.os.system"),
        (b"\x80\x02cos\n\x1b[2Jsystem\n.", "os.\u{fffd}[2Jsystem"),
    ] {
        let said = refused(&reading, &with_pickle(pickle), name);
        says(&said, &format!("names `{name}`"));
        assert!(!said.contains('\u{1b}'));
    }
    // A module that was saved whole.
    let module = b"\x80\x02ctorchvision.models.inception\nInception3\n)\x81}b.";
    says(&refused(&reading, &with_pickle(module), "a module"), "state_dict");
}

#[test]
fn operations_that_tensors_do_not_need_are_refused() {
    let reading = Reading::new();
    // INST, OBJ, EXT1, PERSID, NEWOBJ_EX, BYTEARRAY8, an unknown one.
    for operation in [b'i', b'o', 0x82, b'P', 0x92, 0x96, 0xff] {
        says(&refused(&reading, &with_pickle(&[0x80, 2, operation]), "an operation"), "the operation 0x");
    }
}

#[test]
fn pickles_that_swell_are_held_to_their_length() {
    let reading = Reading::new();
    let repeat = |begin: &[u8], piece: &[u8], end: &[u8]| [begin, &piece.repeat(200_000 / piece.len()), end].concat();
    let bombs = [
        ("empty tuples", repeat(b"\x80\x02", b")", b".")),
        ("empty dictionaries", repeat(b"\x80\x02", b"}", b".")),
        ("marks", repeat(b"\x80\x02", b"(", b".")),
        ("copies of the top", repeat(b"\x80\x02]", b"2", b".")),
        ("what is kept", repeat(b"\x80\x04]", b"\x94", b".")),
        ("tuples in tuples", repeat(b"\x80\x02)", b"\x85", b".")),
        ("twice the last", repeat(b"\x80\x02)q\x00", b"h\x00h\x00\x86q\x00", b".")),
        ("lists of themselves", repeat(b"\x80\x02]q\x00", b"h\x00a", b".")),
        (
            "dictionaries in dictionaries",
            repeat(b"\x80\x02", b"}X\x01\x00\x00\x00a", &[&b"s".repeat(25_000)[..], b"."].concat()),
        ),
        ("a dictionary in itself", b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.".to_vec()),
        ("one dictionary twice in the next", {
            let twice = b"}X\x01\x00\x00\x00ah\x00sX\x01\x00\x00\x00bh\x00sq\x000h\x00";
            repeat(b"\x80\x02}q\x00", &twice[..], b".")
        }),
        ("a long text", b"\x80\x02X\xff\xff\xff\xff.".to_vec()),
        ("a longer text", b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.".to_vec()),
        ("a long integer", b"\x80\x02\x8b\xff\xff\xff\xff.".to_vec()),
    ];
    for (what, pickle) in bombs {
        refused(&reading, &with_pickle(&pickle), what);
        refused_inflated(&reading, &archive(&[("a/data.pkl", &pickle)], CompressionMethod::Deflated), what);
        // The same behind the beginning of a legacy file.
        let magic = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.";
        refused(&reading, &[&magic[..], &pickle].concat(), what);
    }
}

#[test]
fn tensors_that_go_beyond_their_storage_are_refused() {
    let reading = Reading::new();
    let most = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f";
    let two = |a: &[u8], b: &[u8]| [a, b, b"\x86"].concat();
    let beyond = "goes beyond";
    for (offset, shape, strides, expected) in [
        (&b"K\x00"[..], two(b"K\x04", b"K\x04"), two(b"K\x04", b"K\x01"), "holds no Inception-v3"),
        (b"K\x00", two(b"K\x04", b"K\x05"), two(b"K\x04", b"K\x01"), beyond),
        (b"K\x01", two(b"K\x04", b"K\x04"), two(b"K\x04", b"K\x01"), beyond),
        (b"K\x00", two(b"K\x04", b"K\x04"), two(b"K\x05", b"K\x01"), beyond),
        (most, two(b"K\x01", b"K\x01"), two(b"K\x01", b"K\x01"), beyond),
        (b"K\x00", two(most, most), two(b"K\x00", b"K\x00"), beyond),
        (b"K\x00", two(most, b"K\x01"), two(most, b"K\x01"), beyond),
        (b"K\x00", two(b"K\x02", b"K\x02"), two(most, most), beyond),
        (b"K\x10", two(b"K\x00", b"K\x00"), two(b"K\x01", b"K\x01"), "holds no Inception-v3"),
    ] {
        let pickle = tensor_pickle("Conv2d_1a_3x3.conv.weight", "FloatStorage", offset, &shape, &strides);
        says(&refused(&reading, &with_pickle(&pickle), expected), expected);
    }
    // Negative, and no numbers: no tensor at all.
    for shape in [&b"J\xff\xff\xff\xff\x85"[..], b"X\x01\x00\x00\x00a\x85", b")"] {
        refused(&reading, &with_pickle(&tensor_pickle("a", "DoubleStorage", b"K\x00", shape, b"K\x01\x85")), "a shape");
    }
}

#[test]
fn archives_that_swell_overlap_or_lie_are_refused() {
    let reading = Reading::new();
    let zeros = vec![b')'; 100 << 20];
    let bomb = archive(&[("a/data.pkl", &zeros)], CompressionMethod::Deflated);
    assert!(bomb.len() < 200_000);
    says(&refused(&reading, &bomb, "a bomb"), "many times the file");
    let of_keras = archive(&[("model.weights.h5", &zeros)], CompressionMethod::Deflated);
    says(&refused(&reading, &of_keras, "a bomb"), "many times the file");
    says(
        &refused(&reading, &archive(&[("readme.txt", b"hello")], CompressionMethod::Stored), "a text"),
        "none of the files",
    );
    says(&refused(&reading, &archive(&[], CompressionMethod::Stored), "nothing"), "none of the files");
    let big = archive(&[("a/data.pkl", b"\x80\x02}."), ("a/byteorder", b"big")], CompressionMethod::Stored);
    says(&refused(&reading, &big, "big-endian"), "big-endian");
    // Many members of no length.
    let names: Vec<String> = (0..5000).map(|index| format!("{index}")).collect();
    let many: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    refused(&reading, &archive(&many, CompressionMethod::Stored), "many members");
}

/// What the fuzzer found: a group that counts its members by 16 bits, and room for as many of them, 9.2 MB, before one was looked at.
#[test]
fn a_group_of_as_many_members_as_sixteen_bits_can_count_takes_room_for_no_more() {
    let text = "iUhERg0KGgoAAAAAAAgIAAQAEAAAAAAAAAAAAAAAAAD//////////0AkADgAAAAAAABA//////8AAAAAAAAAAGAAAAAAAAAAAQAA\
                AAAAAACIAAAAAAAAAKgCAAAAAAAAAQAA+QEAAAAAAAAACwAAAAAQAAYACAAYAG5hbWVzAAAAEwEAAAYAAAABAQEAAAAAAAIAAAAA\
                AAAAAgAAAAAAAABrZXJuZWxiaWFzAAAAAAAA";
    let bytes = STANDARD.decode(text).unwrap();
    refused(&Reading::new(), &bytes, "many members");
}

#[test]
fn what_is_no_checkpoint_is_told_what_would_be_one() {
    let reading = Reading::new();
    for bytes in [&b""[..], b"hello", b"\x89PNG\r\n\x1a\n", b"PK", b"\x80\x02}.", &[0; 100]] {
        says(&refused(&reading, bytes, "no checkpoint"), "safetensors, PyTorch");
    }
}

/// `cargo test --release --test strangers_files -- --ignored`, before the fuzzer is first run.
#[test]
#[ignore = "writes the fuzzer's seeds"]
fn write_seeds_of_checkpoints() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/read_weights");
    std::fs::create_dir_all(&folder).unwrap();
    for name in SMALL {
        std::fs::write(folder.join(name), golden(name)).unwrap();
    }
}
