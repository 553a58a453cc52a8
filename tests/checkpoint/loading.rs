//! Names, shapes and dtypes must fit.

use super::*;

fn signature(entries: &[(&str, &[usize], DType)]) -> Signature {
    entries.iter().map(|&(name, shape, dtype)| (name.to_owned(), (shape.to_vec(), dtype))).collect()
}

#[test]
fn names_shapes_and_dtypes_must_fit() {
    let expected = signature(&[("a", &[2], DType::F32), ("b", &[3], DType::F32), ("n", &[], DType::I64)]);
    check_names(&expected, &expected, "x").unwrap();
    let half = signature(&[("a", &[2], DType::F16), ("b", &[3], DType::F64), ("n", &[], DType::I64)]);
    check_names(&half, &expected, "x").unwrap();

    let found = signature(&[("a", &[4, 5], DType::F32), ("n", &[], DType::F32), ("zz", &[1], DType::F32)]);
    let text = refused(check_names(&found, &expected, "x.pth: the generator"), 3);
    for part in
        ["x.pth: the generator", "missing: b", "not expected: zz", "f32 [4, 5]", "needs f32 [2]", "needs i64 []"]
    {
        assert!(text.contains(part), "{text}");
    }

    let many: Vec<String> = (0..9).map(|index| format!("{index}.weight")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), &[1usize][..], DType::F32)).collect();
    let text = refused(check_names(&Signature::new(), &signature(&many), "x"), 3);
    assert!(text.contains("2.weight and 6 more") && !text.contains("3.weight"), "{text}");
}

#[test]
fn floats_are_converted_and_integers_are_not() {
    let values = Tensor::new(&[1.5f32, -2.], &Device::Cpu).unwrap();
    let expected = signature(&[("w", &[2], DType::F32)]);
    for dtype in [DType::F64, DType::F32, DType::F16, DType::BF16] {
        let found = [("w".to_owned(), values.to_dtype(dtype).unwrap())].into();
        let conformed = conform(&found, &expected, "x").unwrap();
        assert_eq!(conformed["w"].to_vec1::<f32>().unwrap(), [1.5, -2.]);
    }
    let found = [("w".to_owned(), values.to_dtype(DType::I64).unwrap())].into();
    refused(conform(&found, &expected, "x"), 3);
}
