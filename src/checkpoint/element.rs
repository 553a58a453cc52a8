//! The types of elements that PyTorch saves, and what each is read as.

use std::borrow::Cow;

use candle_core::DType;

/// A type of elements.
#[derive(Debug)]
pub struct Element {
    /// PyTorch's name of the dtype.
    pub name: &'static str,
    /// The class of a storage of it; empty where there is none.
    storage: &'static str,
    /// Bytes an element.
    pub size: usize,
    /// What it is read as; `None` where nothing here computes with it.
    pub read_as: Option<DType>,
}

const fn element(name: &'static str, storage: &'static str, size: usize, read_as: Option<DType>) -> Element {
    Element { name, storage, size, read_as }
}

static ELEMENTS: [Element; 26] = [
    element("float32", "FloatStorage", 4, Some(DType::F32)),
    element("float64", "DoubleStorage", 8, Some(DType::F64)),
    element("float16", "HalfStorage", 2, Some(DType::F16)),
    element("bfloat16", "BFloat16Storage", 2, Some(DType::BF16)),
    element("int64", "LongStorage", 8, Some(DType::I64)),
    element("int32", "IntStorage", 4, Some(DType::I32)),
    element("int16", "ShortStorage", 2, Some(DType::I16)),
    // The next larger type that candle has.
    element("int8", "CharStorage", 1, Some(DType::I16)),
    element("uint8", "ByteStorage", 1, Some(DType::U8)),
    element("uint16", "", 2, Some(DType::I32)),
    element("uint32", "", 4, Some(DType::U32)),
    element("uint64", "", 8, None),
    // A Boolean is a byte of 0 or 1.
    element("bool", "BoolStorage", 1, Some(DType::U8)),
    element("complex32", "", 4, None),
    element("complex64", "ComplexFloatStorage", 8, None),
    element("complex128", "ComplexDoubleStorage", 16, None),
    element("float8_e4m3fn", "", 1, None),
    element("float8_e5m2", "", 1, None),
    element("float8_e4m3fnuz", "", 1, None),
    element("float8_e5m2fnuz", "", 1, None),
    element("float8_e8m0fnu", "", 1, None),
    element("qint8", "QInt8Storage", 1, None),
    element("quint8", "QUInt8Storage", 1, None),
    element("qint32", "QInt32Storage", 4, None),
    element("quint4x2", "QUInt4x2Storage", 1, None),
    element("quint2x4", "QUInt2x4Storage", 1, None),
];

/// The bytes of a storage without a type, which PyTorch takes for uint8.
static UNTYPED: Element = element("uint8", "UntypedStorage", 1, Some(DType::U8));

impl Element {
    /// Of a dtype or the class of a storage by its name in the module `torch`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let is_named = |element: &&Element| element.name == name || (element.storage == name && !name.is_empty());
        ELEMENTS.iter().chain([&UNTYPED]).find(is_named)
    }

    /// The little-endian elements of this type in `bytes`, as those of `read_as`.
    pub fn widen<'a>(&self, bytes: Cow<'a, [u8]>) -> Cow<'a, [u8]> {
        match self.name {
            "int8" => bytes.iter().flat_map(|&byte| i16::from(byte as i8).to_le_bytes()).collect(),
            "uint16" => {
                let pairs = bytes.as_chunks().0.iter();
                pairs.flat_map(|&pair| i32::from(u16::from_le_bytes(pair)).to_le_bytes()).collect()
            }
            _ => bytes,
        }
    }
}
