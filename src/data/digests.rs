//! Hashes of the encoded bytes of pictures, by which a set is known that is not decoded.

use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The SHA-256 of the encoded bytes of one picture.
pub type PictureDigest = [u8; 32];

/// Those of the pictures of a part, in their order; clones share them.
#[derive(Clone, Debug)]
pub struct PictureDigests(Arc<[PictureDigest]>);

impl PictureDigests {
    /// Those at `indices`.
    pub fn select(&self, indices: &[u32]) -> Self {
        Self(indices.iter().map(|index| self.0[*index as usize]).collect())
    }

    /// One hash of all of them and of the pictures' labels, in hexadecimal digits.
    pub fn of_part(&self, labels: &[u32]) -> String {
        let mut hasher = Sha256::new();
        hasher.update(format!("{} pictures, {} labels\n", self.0.len(), labels.len()));
        self.0.iter().for_each(|digest| hasher.update(digest));
        labels.iter().for_each(|label| hasher.update(label.to_le_bytes()));
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl FromIterator<PictureDigest> for PictureDigests {
    fn from_iter<I: IntoIterator<Item = PictureDigest>>(digests: I) -> Self {
        Self(digests.into_iter().collect())
    }
}

/// Of the encoded bytes of a picture.
pub fn digest(bytes: &[u8]) -> PictureDigest {
    Sha256::digest(bytes).into()
}
