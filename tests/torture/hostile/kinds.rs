//! Files of each kind, undamaged, and who reads them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use candle_core::Device;
use gan::checkpoint::header::{CONFIG, STATE};
use gan::checkpoint::{self, Archive};
use gan::data::memory::MemorySize;
use gan::data::{self, DataOptions, ImageShape, TargetShape};
use gan::error::Error;
use gan::params::Parameters;
use gan::pretrained::EncoderSource;
use gan::pretrained::Latents;
use gan::report::{GanRecord, RunLog};
use gan::run::Position;
use gan::train::finetune_config::FinetuneConfig;
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;
use image::{DynamicImage, GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::containers::{
    gzip, repacked_gzip, repacked_pth, repacked_tar, retaped, rezipped, taped_pictures, tarball, zipped_pictures,
};
use super::mutations::{mutate, poke};
use crate::process::Dice;

type Bytes = Vec<u8>;

/// A kind of file.
pub struct Kind {
    pub name: &'static str,
    /// Trials of it for one of the others.
    pub weight: u64,
    /// Its name in the directory, beside the files `around` it.
    pub file: &'static str,
    pub around: Vec<(String, Bytes)>,
    /// Undamaged ones.
    pub seeds: Vec<Bytes>,
    pub mutate: fn(&[u8], &mut Dice) -> Bytes,
    pub read: fn(&Path, &Path) -> anyhow::Result<()>,
    /// The exit codes that a refusal may have.
    pub codes: &'static [u8],
}

const INPUT: &[u8] = &[3];
const GREY: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

impl Kind {
    fn new(
        name: &'static str,
        file: &'static str,
        seeds: Vec<Bytes>,
        mutate: fn(&[u8], &mut Dice) -> Bytes,
        read: fn(&Path, &Path) -> anyhow::Result<()>,
    ) -> Self {
        Self { name, weight: 1, file, around: Vec::new(), seeds, mutate, read, codes: INPUT }
    }
}

pub fn all() -> Vec<Kind> {
    let fixture =
        |name: &str| fs::read(Path::new(&crate::support::repository()).join("tests/fixtures").join(name)).unwrap();
    let fixtures = |names: &[&str]| names.iter().map(|name| fixture(name)).collect::<Vec<_>>();
    let archives = |names: &[&str], own: Bytes| {
        let others = names.iter().map(|name| fixture(&format!("archives/{name}")));
        others.chain([own]).collect::<Vec<_>>()
    };
    let read_data = |directory: &Path, _: &Path| {
        data::open(directory.to_str().unwrap(), &DataOptions::default(), GREY, &|_, _, _| ()).map(drop)
    };
    let labels = ("train-labels-idx1-ubyte".to_string(), idx(&[4], &[0, 1, 2, 1]));
    let images = idx(&[4, 5, 6], &(0..120).collect::<Vec<u8>>());
    let batch: Bytes = (0..2).flat_map(|label| [vec![label], vec![7 * label; 3072]].concat()).collect();
    let batches: Vec<_> = data::cifar::BATCHES[1..].iter().map(|name| (name.to_string(), batch.clone())).collect();
    vec![
        Kind {
            weight: 10,
            ..Kind::new(
                "safetensors",
                "x.safetensors",
                [fixtures(&["network.safetensors", "views.safetensors"]), vec![saved()]].concat(),
                mutate,
                read_checkpoint,
            )
        },
        Kind {
            weight: 10,
            ..Kind::new(
                "pth",
                "x.pth",
                fixtures(&[
                    "network.pth",
                    "protocol4.pth",
                    "views.pth",
                    "wrapped.pth",
                    "legacy.pth",
                    "variety/trainer.pth",
                    "variety/trainer_legacy.pth",
                    "variety/lightning.ckpt",
                    "variety/averaged.pth",
                    "variety/cycle.pth",
                    "variety/inert2.pth",
                    "variety/inert4.pth",
                    "variety/inert5.pth",
                    "variety/kinds.pth",
                ]),
                repacked_pth,
                read_checkpoint,
            )
        },
        Kind {
            codes: &[3, 4],
            ..Kind::new("state", "step-00000007.safetensors", vec![saved()], mutated_state, read_state)
        },
        Kind { codes: &[2, 3], ..Kind::new("config", "config.json", configs(), mutate, read_config) },
        Kind::new("metrics", "metrics.jsonl", vec![METRICS.into()], mutate, read_metrics),
        Kind {
            around: vec![labels.clone()],
            ..Kind::new("idx", "train-images-idx3-ubyte", vec![images.clone()], mutate, read_data)
        },
        Kind {
            around: vec![labels],
            ..Kind::new("gzip", "train-images-idx3-ubyte.gz", vec![gzip(&images)], repacked_gzip, read_data)
        },
        Kind {
            around: batches,
            ..Kind::new("cifar batch", "data_batch_1.bin", vec![batch.clone()], mutate, read_data)
        },
        Kind::new("cifar tar.gz", data::cifar::ARCHIVE, vec![gzip(&tarball(&batch))], repacked_tar, read_data),
        Kind::new("parquet", "train.parquet", vec![parquet_file()], mutate, picture),
        Kind::new("tar", "x.tar", archives(&["gnu.tar", "pax.tar"], taped_pictures(&pngs())), retaped, picture),
        Kind::new(
            "zip",
            "x.zip",
            archives(&["zip64.zip", "streamed.zip"], zipped_pictures(&pngs())),
            rezipped,
            picture,
        ),
        Kind::new("png", "x.png", pngs(), resealed_png, picture),
        Kind::new("jpeg", "x.jpg", jpegs(), mutate, picture),
        Kind::new("webp", "x.webp", pictures(ImageFormat::WebP), mutate, picture),
        Kind::new("tiff", "x.tif", pictures(ImageFormat::Tiff), mutate, picture),
        Kind::new("bmp", "x.bmp", pictures(ImageFormat::Bmp), mutate, picture),
        Kind::new("gif", "x.gif", pictures(ImageFormat::Gif), mutate, picture),
        Kind::new("pnm", "x.ppm", pictures(ImageFormat::Pnm), mutate, picture),
        Kind::new("npy", "latents.npy", vec![npy("<f4", "(2, 3)", 24), npy("<f8", "(2, 3)", 48)], mutate, |_, path| {
            Latents::read(path, 3).map(drop)
        }),
        Kind::new(
            "npy images",
            "images.npy",
            vec![npy("|u1", "(1, 28, 28)", 784), npy(">f2", "(1, 1, 28, 28)", 1568), columns()],
            mutate,
            |_, path| gan::data::read_images(path, ImageShape::new(28, 28, 1)).map(drop),
        ),
    ]
}

/// Pictures made to fit and in their own size, in memory and decoded on demand: the same, or refused.
fn picture(directory: &Path, _: &Path) -> anyhow::Result<()> {
    let decoded = |target: TargetShape, options: &DataOptions| {
        let set = data::open(directory.to_str().unwrap(), options, target, &|_, _, _| ())?;
        let parts = [&set.train, &set.validation, &set.test];
        let images = parts.into_iter().flat_map(|part| (0..part.len()).map(move |index| part.bytes_of(index)));
        images.map(|pixels| Ok(pixels?.into_owned())).collect::<anyhow::Result<Vec<Bytes>>>()
    };
    let on_demand = DataOptions { data_memory: Some(MemorySize(0)), ..DataOptions::default() };
    let mut outcome = Ok(());
    for target in [TargetShape::originals(GREY), GREY.into()] {
        let in_memory = decoded(target, &DataOptions::default());
        assert_eq!(in_memory.as_ref().ok(), decoded(target, &on_demand).as_ref().ok());
        outcome = in_memory.map(drop);
    }
    outcome
}

fn read_checkpoint(_: &Path, path: &Path) -> anyhow::Result<()> {
    // Describing promises no more than reading.
    let described = checkpoint::describe(path);
    let archive = checkpoint::read(path)?;
    assert_eq!(described?.tensors, archive.signature());
    // None of them holds an encoder, and looking for one is no more than reading.
    assert!(EncoderSource::open(path).is_err());
    Ok(())
}

/// A checkpoint of a run, as small as one can be: its tensors, its state and its configuration.
fn saved() -> Bytes {
    let parameters = linear();
    let position = Position::new(7, 5, 1.5, &[("shuffle", 1), ("latents", 7)]);
    let metadata = BTreeMap::from([
        (STATE.to_string(), serde_json::to_string(&position).unwrap()),
        (CONFIG.to_string(), String::from_utf8(configs()[0].clone()).unwrap()),
    ]);
    checkpoint::to_bytes(&Archive { tensors: parameters.tensors(), metadata }).unwrap()
}

fn linear() -> Parameters {
    let parameters = Parameters::new(0, "x", &Device::Cpu);
    let builder = parameters.builder();
    builder.get((3, 2), "0.weight").unwrap();
    builder.get(3, "0.bias").unwrap();
    parameters
}

/// Damage to the metadata alone in half the trials: the rest of the file is right then.
fn mutated_state(bytes: &[u8], dice: &mut Dice) -> Bytes {
    if dice.roll() & 1 == 0 {
        return mutate(bytes, dice);
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let mut archive = checkpoint::read(file.path()).unwrap();
    let key = [STATE, CONFIG][dice.below(2)];
    let text = mutate(archive.metadata[key].as_bytes(), dice);
    archive.metadata.insert(key.into(), String::from_utf8_lossy(&text).into_owned());
    checkpoint::to_bytes(&archive).unwrap()
}

fn read_state(_: &Path, path: &Path) -> anyhow::Result<()> {
    let archive = checkpoint::read(path)?;
    Position::of(&archive, path)?;
    let parameters = linear();
    parameters.load(&archive.tensors).context(Error::Input("it does not fit".into()))
}

fn configs() -> Vec<Bytes> {
    use clap::{Args, FromArgMatches};
    fn default<C: Args + FromArgMatches + serde::Serialize>() -> Bytes {
        let matches = C::augment_args(clap::Command::new("gan")).get_matches_from(["gan"]);
        serde_json::to_vec_pretty(&C::from_arg_matches(&matches).unwrap()).unwrap()
    }
    vec![default::<GanConfig>(), default::<SimclrConfig>(), default::<FinetuneConfig>()]
}

fn read_config(_: &Path, path: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(path).unwrap();
    let refused = |error: serde_json::Error| Error::reading(path, error);
    if let Ok(config) = serde_json::from_slice::<GanConfig>(&bytes) {
        config.last_step(468);
        return config.validate();
    }
    if let Ok(config) = serde_json::from_slice::<SimclrConfig>(&bytes) {
        config.last_step(781);
        return config.validate();
    }
    serde_json::from_slice::<FinetuneConfig>(&bytes).map_err(refused)?.validate()
}

const METRICS: &str = r#"{"step":0,"epoch":0,"seconds":0.1,"images_per_second":10.0,"d_loss":1.5,"g_loss":0.7,"real_score":0.5,"fake_score":0.5}
{"step":1,"epoch":0,"seconds":0.2,"images_per_second":10.0,"d_loss":1.4,"g_loss":null,"real_score":0.5,"fake_score":0.5}
{"step":2,"epoch":0,"seconds":0.3,"images_per_second":10.0,"d_loss":1.3,"g_loss":0.7,"real_score":0.5,"fake_score":0.5}
"#;

fn read_metrics(_: &Path, path: &Path) -> anyhow::Result<()> {
    RunLog::open(path, |record: &GanRecord| record.step < 2)?;
    RunLog::<GanRecord>::records(path).map(drop)
}

fn idx(dims: &[u32], data: &[u8]) -> Bytes {
    let mut bytes = vec![0, 0, 8, dims.len() as u8];
    dims.iter().for_each(|dim| bytes.extend(dim.to_be_bytes()));
    bytes.extend(data);
    bytes
}

fn encoded(image: DynamicImage, format: ImageFormat) -> Bytes {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn grey_picture() -> DynamicImage {
    GrayImage::from_fn(9, 7, |x, y| Luma([(x * 20 + y * 9) as u8])).into()
}

fn colour_picture() -> DynamicImage {
    RgbImage::from_fn(20, 18, |x, y| Rgb([(x * 12) as u8, (y * 13) as u8, 90])).into()
}

fn pngs() -> Vec<Bytes> {
    let wide = DynamicImage::from(colour_picture().to_rgba16());
    [grey_picture(), colour_picture(), wide].map(|image| encoded(image, ImageFormat::Png)).to_vec()
}

fn jpegs() -> Vec<Bytes> {
    pictures(ImageFormat::Jpeg)
}

fn pictures(format: ImageFormat) -> Vec<Bytes> {
    let of_format = |image: DynamicImage| match format {
        ImageFormat::Gif => image.to_rgba8().into(),
        _ => image,
    };
    [grey_picture(), colour_picture()].map(|image| encoded(of_format(image), format)).to_vec()
}

/// Damage within a chunk has its checksum mended in two of three trials.
fn resealed_png(bytes: &[u8], dice: &mut Dice) -> Bytes {
    if dice.below(3) == 0 {
        return mutate(bytes, dice);
    }
    let mut bytes = bytes.to_vec();
    let (mut at, hit) = (8, dice.below(3));
    for chunk in 0.. {
        let Some(length) = bytes.get(at..at + 4).map(|length| u32::from_be_bytes(length.try_into().unwrap())) else {
            break;
        };
        let end = at + 8 + length as usize;
        if chunk == hit && length > 0 {
            for _ in 0..1 + dice.below(3) {
                poke(&mut bytes[at + 8..end], dice);
            }
        }
        let mut crc = flate2::Crc::new();
        crc.update(&bytes[at + 4..end]);
        bytes[end..end + 4].copy_from_slice(&crc.sum().to_be_bytes());
        at = end + 4;
    }
    bytes
}

fn parquet_file() -> Bytes {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional int64 label;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(WriterProperties::new())).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let picture: ByteArray = encoded(grey_picture(), ImageFormat::Png).into();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[picture.clone(), picture], Some(&[2, 2]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[], Some(&[1, 1]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[0, 1], Some(&[1, 1]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

/// Zeros, in so many bytes.
fn npy(kind: &str, shape: &str, bytes: usize) -> Bytes {
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

/// An image whose numbers lie column by column.
fn columns() -> Bytes {
    let rows = npy("<f4", "(1, 28, 28)", 3136);
    let end = rows.len() - 3136;
    let header = String::from_utf8_lossy(&rows[10..end]).replace("False", "True ");
    [&rows[..10], header.as_bytes(), &rows[end..]].concat()
}

/// A safetensors file whose header claims `shape`, without any data.
pub fn claiming(shape: &str, end: &str) -> Bytes {
    let header = format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#);
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}
