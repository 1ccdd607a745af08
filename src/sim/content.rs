//! Sparse bytes, of a volume or a snapshot or an image; they may not know whose they are.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The grain of everything that is stored.
pub(crate) const CHUNK: u64 = 64 * 1024;
/// The number of chunks in the mebibyte that a restore into a fresh volume skips when it is zero.
const CHUNKS_IN_MIB: u64 = 16;
pub(crate) const GIB: u64 = 1 << 30;

/// What a backup keeps: chunks that changed, `None` for those that became zero.
pub(crate) type Delta = BTreeMap<u64, Option<Arc<[u8]>>>;

/// Bytes, of which only chunks with something in them take room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    chunks: BTreeMap<u64, Arc<[u8]>>,
}

impl Content {
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut position = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let index = position / CHUNK;
            let start = within(position);
            let take = rest.len().min(size(CHUNK) - start);
            let mut chunk = match self.chunks.get(&index) {
                Some(old) => old.to_vec(),
                None => vec![0; size(CHUNK)],
            };
            let (now, later) = rest.split_at(take);
            if let Some(target) = chunk.get_mut(start..start + take) {
                target.copy_from_slice(now);
            }
            self.put(index, Some(chunk.into()));
            rest = later;
            position += now.len() as u64;
        }
    }

    pub(crate) fn read(&self, offset: u64, length: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(size(length));
        let end = offset + length;
        let mut position = offset;
        while position < end {
            let start = within(position);
            let take = size(end - position).min(size(CHUNK) - start);
            match self
                .chunks
                .get(&(position / CHUNK))
                .and_then(|chunk| chunk.get(start..start + take))
            {
                Some(part) => bytes.extend_from_slice(part),
                None => bytes.resize(bytes.len() + take, 0),
            }
            position += take as u64;
        }
        bytes
    }

    /// What has to be written over `older` to come to this.
    pub(crate) fn difference(&self, older: &Self) -> Delta {
        let changed = self
            .chunks
            .iter()
            .filter(|(index, chunk)| older.chunks.get(index) != Some(chunk))
            .map(|(index, chunk)| (*index, Some(Arc::clone(chunk))));
        let zeroed = older
            .chunks
            .keys()
            .filter(|index| !self.chunks.contains_key(index));
        changed.chain(zeroed.map(|index| (*index, None))).collect()
    }

    /// Writes a delta. With `skip_zeros`, a mebibyte in which the delta holds only zeros is left as it
    /// is: the short cut that newer releases take for a volume which they made themselves.
    pub(crate) fn apply(&mut self, delta: &Delta, skip_zeros: bool) {
        for (index, chunk) in delta {
            let mib = index / CHUNKS_IN_MIB * CHUNKS_IN_MIB;
            let skipped = skip_zeros
                && delta
                    .range(mib..mib + CHUNKS_IN_MIB)
                    .all(|(_, neighbour)| neighbour.is_none());
            if !skipped {
                self.put(*index, chunk.clone());
            }
        }
    }

    /// Makes everything before `length` zero, as a full restore does before it is written to.
    pub(crate) fn clear(&mut self, length: u64) {
        self.chunks.retain(|index, _| *index >= length / CHUNK);
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.chunks.len() as u64 * CHUNK
    }

    /// A digest of the size and of every chunk that is not zero.
    pub(crate) fn digest(&self, length: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(length.to_be_bytes());
        for (index, chunk) in &self.chunks {
            hash.update(index.to_be_bytes());
            hash.update(chunk);
        }
        hash.finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing to a string cannot fail.
                let _written = write!(text, "{byte:02x}");
                text
            })
    }

    fn put(&mut self, index: u64, chunk: Option<Arc<[u8]>>) {
        match chunk {
            Some(chunk) if chunk.iter().any(|byte| *byte != 0) => {
                self.chunks.insert(index, chunk);
            }
            Some(_) | None => {
                self.chunks.remove(&index);
            }
        }
    }
}

fn within(position: u64) -> usize {
    size(position % CHUNK)
}

fn size(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_across_chunks() {
        let mut content = Content::default();
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        content.write(CHUNK - 7, &bytes);
        assert_eq!(content.read(CHUNK - 7, 200_000), bytes);
        assert_eq!(content.read(0, 4), vec![0; 4]);
    }

    #[test]
    fn zeros_leave_no_trace_in_the_digest() {
        let mut written = Content::default();
        written.write(5, b"abc");
        written.write(5, &[0; 3]);
        assert_eq!(written.digest(GIB), Content::default().digest(GIB));
        assert_ne!(written.digest(GIB), written.digest(2 * GIB));
    }

    #[test]
    fn a_difference_applied_gives_the_newer_content() {
        let mut older = Content::default();
        older.write(0, b"old");
        older.write(9 * CHUNK, b"stays");
        let mut newer = older.clone();
        newer.write(0, &[0; 3]);
        newer.write(40 * CHUNK, b"new");
        let delta = newer.difference(&older);
        let mut restored = older.clone();
        restored.apply(&delta, false);
        assert_eq!(restored, newer);
        let mut skipping = older;
        skipping.apply(&delta, true);
        assert_eq!(skipping.read(0, 3), b"old");
    }
}
