//! Round trips, and the bytes of the reference implementation.

use super::*;

#[test]
fn every_dtype_survives_a_round_trip() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("all.safetensors");
    let archive = every_dtype();
    write(&path, &archive).unwrap();
    let back = read(&path).unwrap();
    assert_same(&archive, &back);
    let mut metadata = archive.metadata.clone();
    metadata.insert("format".into(), "pt".into());
    assert_eq!(back.metadata, metadata);
    assert_eq!(back.tensors["transposed"].to_vec2::<f32>().unwrap(), [[0., 3.], [1., 4.], [2., 5.]]);

    let described = describe(&path).unwrap();
    assert_eq!(described.container, Container::Safetensors);
    assert_eq!((described.tensors, described.metadata), (archive.signature(), metadata));
    assert_eq!(described.bytes, fs::metadata(&path).unwrap().len());
}

#[test]
fn the_same_tensors_give_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    write(&paths[0], &every_dtype()).unwrap();
    write(&paths[1], &read(&paths[0]).unwrap()).unwrap();
    let bytes = paths.map(|path| fs::read(path).unwrap());
    assert_eq!(bytes[0], bytes[1]);
    assert_eq!(bytes[0], to_bytes(&every_dtype()).unwrap());
}

#[test]
fn the_reference_implementation_writes_the_same_bytes() {
    let archive = Archive { metadata: BTreeMap::new(), ..every_dtype() };
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let contiguous = archive.tensors.iter().map(|(name, tensor)| (name, tensor.contiguous().unwrap()));
    let reference = safetensors::serialize(contiguous, Some(metadata)).unwrap();
    assert_eq!(to_bytes(&archive).unwrap(), reference);
}

#[test]
fn names_of_one_dtype_are_in_order_and_data_is_aligned() {
    let tensors = ["b.weight", "a", "c", "10.bias", "2.bias"]
        .map(|name| (name.to_owned(), Tensor::zeros(3, DType::F32, &Device::Cpu).unwrap()));
    let bytes = to_bytes(&Archive { tensors: tensors.into(), ..Archive::default() }).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    assert_eq!(length % 8, 0);
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let places = ["__metadata__", "10.bias", "2.bias", "a", "b.weight", "c"]
        .map(|name| header.find(&format!("\"{name}\"")).unwrap());
    assert!(places.is_sorted(), "{header}");
}

#[test]
fn a_name_that_is_metadata_is_no_tensor() {
    let tensors = [("__metadata__".to_owned(), Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap())].into();
    assert!(to_bytes(&Archive { tensors, ..Archive::default() }).is_err());
}
