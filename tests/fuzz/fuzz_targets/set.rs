//! A data set in one file, opened in every way that its images can be held.

use gan::data::holding::DataCache;
use gan::data::memory::MemorySize;
use gan::data::{self, DataOptions, Gallery, ImageShape, Reach, TargetShape};

const SHAPE: ImageShape = ImageShape { height: 28, width: 28, channels: 1 };

/// The file `name` of these bytes: the same images in memory and decoded on demand, or refused both ways.
pub fn open(name: &str, bytes: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(name), bytes).unwrap();
    let spec = directory.path().to_str().unwrap();
    let opened = |target: TargetShape, options: &DataOptions| {
        let set = data::open(spec, options, target, &|_, _, _| ())?;
        let parts = [&set.train, &set.validation, &set.test];
        let images = parts.into_iter().flat_map(|part| (0..part.len()).map(move |index| part.bytes_of(index)));
        images.map(|pixels| Ok(pixels?.into_owned())).collect::<anyhow::Result<Vec<_>>>()
    };
    let on_demand =
        DataOptions { data_memory: Some(MemorySize(0)), data_cache: Some(DataCache::None), ..DataOptions::default() };
    for target in [SHAPE.into(), TargetShape::originals(SHAPE)] {
        let in_memory = opened(target, &DataOptions::default());
        assert_eq!(in_memory.ok(), opened(target, &on_demand).ok());
    }
    if let Ok(gallery) = Gallery::open(spec, Reach::Everything, &on_demand, &|_, _, _| ()) {
        gallery.read(0..gallery.len().min(8), SHAPE);
    }
}
