//! The gRPC door: turns messages into words of the domain and back; it may not decide anything, nor
//! know clouds, stores, clocks or tasks.

pub mod pb;
