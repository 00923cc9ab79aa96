//! The gRPC interfaces between Stroll's services.
//!
//! Everything here is generated from `proto/stroll/v1/*.proto`; the comments there are the reference.

/// Package `stroll.v1`.
pub mod v1 {
    #![expect(clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated code")]
    tonic::include_proto!("stroll.v1");

    /// Encoded `FileDescriptorSet` of the package, for gRPC reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("stroll.v1");
}
