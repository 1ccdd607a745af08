//! How messages become bytes and back, with the limits of requests before anything is built; it may not
//! know any message.

use std::marker::PhantomData;

use prost::{Message, Name, bytes::Buf as _};
use tonic::{
    Status,
    codec::{BufferSettings, Codec, DecodeBuf, Decoder},
};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::{limits, status::status};

/// Bytes for the first messages of an answer, as tonic has it.
const ANSWER_AT_FIRST: usize = 8 * 1024;

/// Bytes of messages that are handed on together; with `api.stream_bytes` what a stream holds for somebody
/// who does not take it.
const ANSWER_AT_ONCE: usize = 8 * 1024;

/// The codec of all services: that of prost, which looks at a request first.
#[derive(Debug)]
pub struct Bounded<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Bounded<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for Bounded<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::new(ANSWER_AT_FIRST, ANSWER_AT_ONCE))
    }

    fn decoder(&mut self) -> Self::Decoder {
        BoundedDecoder(PhantomData)
    }
}

/// Reads one message.
#[derive(Debug)]
pub struct BoundedDecoder<U>(PhantomData<U>);

impl<U: Message + Name + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, bytes: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // The whole message lies in one piece.
        limits::check(U::NAME, bytes.chunk()).map_err(|error| status(&error))?;
        let message = U::decode(bytes);
        message
            .map(Some)
            .map_err(|error| Status::internal(error.to_string()))
    }
}
