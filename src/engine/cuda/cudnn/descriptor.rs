//! A descriptor and its attributes.
#![expect(unsafe_code, reason = "calls cuDNN with arrays as attributes")]

use std::ffi::c_void;
use std::ptr;

use candle_core::cuda_backend::cudarc::cudnn::sys::{
    self, cudnnBackendAttributeType_t as Type, cudnnBackendDescriptor_t, cudnnBackendHeurMode_t,
    cudnnConvolutionMode_t, cudnnDataType_t, cudnnPointwiseMode_t,
};

pub use candle_core::cuda_backend::cudarc::cudnn::sys::{
    cudnnBackendAttributeName_t as Attribute, cudnnBackendDescriptorType_t as Kind,
};

use super::handle::{Handle, check};
use crate::engine::cuda::error::Result;

/// One of cuDNN's descriptors.
pub struct Descriptor(cudnnBackendDescriptor_t);

// SAFETY: a descriptor may go from thread to thread.
unsafe impl Send for Descriptor {}
// SAFETY: who shares it can only read it, and attributes are set by its owner alone, before it is finalised.
unsafe impl Sync for Descriptor {}

/// What an attribute may be.
///
/// # Safety
/// It lies in memory as cuDNN reads the type.
pub unsafe trait Value: Copy {
    /// How cuDNN calls it.
    const TYPE: Type;
}

/// A place in the card's memory.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Pointer(pub *mut c_void);

/// One of cuDNN's numbers for things that later versions have more of than are known here: notes on an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Note(pub i32);

/// The same: what a knob turns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Knob(pub i32);

macro_rules! value {
    ($($of:ty => $kind:ident),+ $(,)?) => {
        // SAFETY: the types of cuDNN's header, or as wide as its enumerations are.
        $(unsafe impl Value for $of { const TYPE: Type = Type::$kind; })+
    };
}
value! {
    bool => CUDNN_TYPE_BOOLEAN,
    i64 => CUDNN_TYPE_INT64,
    f32 => CUDNN_TYPE_FLOAT,
    Pointer => CUDNN_TYPE_VOID_PTR,
    Note => CUDNN_TYPE_NUMERICAL_NOTE,
    Knob => CUDNN_TYPE_KNOB_TYPE,
    cudnnDataType_t => CUDNN_TYPE_DATA_TYPE,
    cudnnConvolutionMode_t => CUDNN_TYPE_CONVOLUTION_MODE,
    cudnnPointwiseMode_t => CUDNN_TYPE_POINTWISE_MODE,
    cudnnBackendHeurMode_t => CUDNN_TYPE_HEUR_MODE,
}

impl Descriptor {
    /// One without attributes.
    pub fn new(kind: Kind) -> Result<Self> {
        let mut descriptor = ptr::null_mut();
        // SAFETY: the place for the descriptor is there.
        check("cudnnBackendCreateDescriptor", unsafe { sys::cudnnBackendCreateDescriptor(kind, &raw mut descriptor) })?;
        Ok(Self(descriptor))
    }

    /// Sets an attribute.
    pub fn with<V: Value>(self, attribute: Attribute, values: &[V]) -> Result<Self> {
        self.set(attribute, V::TYPE, values.len(), values.as_ptr().cast())
    }

    /// Sets an attribute that is other descriptors, finalised; they must stay.
    pub fn with_parts(self, attribute: Attribute, parts: &[&Self]) -> Result<Self> {
        let parts: Vec<_> = parts.iter().map(|part| part.0).collect();
        self.set(attribute, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, parts.len(), parts.as_ptr().cast())
    }

    /// Sets an attribute that is a handle.
    pub fn with_handle(self, attribute: Attribute, handle: &Handle) -> Result<Self> {
        let handle = handle.raw();
        self.set(attribute, Type::CUDNN_TYPE_HANDLE, 1, (&raw const handle).cast())
    }

    /// No more attributes: cuDNN checks it and makes it ready.
    pub fn finalised(self) -> Result<Self> {
        // SAFETY: it was created, and is finalised once.
        check("cudnnBackendFinalize", unsafe { sys::cudnnBackendFinalize(self.0) })?;
        Ok(self)
    }

    /// An attribute of at most so many values.
    pub fn get<V: Value + Default>(&self, attribute: Attribute, most: usize) -> Result<Vec<V>> {
        let mut values = vec![V::default(); most];
        let count = self.read(attribute, V::TYPE, most, values.as_mut_ptr().cast())?;
        values.truncate(count);
        Ok(values)
    }

    /// How many descriptors an attribute is.
    pub fn count_parts(&self, attribute: Attribute) -> Result<usize> {
        self.read(attribute, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, ptr::null_mut())
    }

    /// An attribute that is at most so many descriptors of a kind.
    pub fn get_parts(&self, attribute: Attribute, kind: Kind, most: usize) -> Result<Vec<Self>> {
        let mut parts = (0..most).map(|_| Self::new(kind)).collect::<Result<Vec<_>>>()?;
        let mut raw: Vec<_> = parts.iter().map(|part| part.0).collect();
        let count = self.read(attribute, Type::CUDNN_TYPE_BACKEND_DESCRIPTOR, most, raw.as_mut_ptr().cast())?;
        parts.truncate(count);
        Ok(parts)
    }

    /// The descriptor itself, valid as long as this is.
    pub const fn raw(&self) -> cudnnBackendDescriptor_t {
        self.0
    }

    fn set(self, attribute: Attribute, of: Type, count: usize, values: *const c_void) -> Result<Self> {
        // SAFETY: there are as many values of that type, and cuDNN copies them.
        let status = unsafe { sys::cudnnBackendSetAttribute(self.0, attribute, of, count as i64, values) };
        check("cudnnBackendSetAttribute", status)?;
        Ok(self)
    }

    fn read(&self, attribute: Attribute, of: Type, most: usize, values: *mut c_void) -> Result<usize> {
        let mut count = 0_i64;
        // SAFETY: there is room for as many values of that type.
        let status =
            unsafe { sys::cudnnBackendGetAttribute(self.0, attribute, of, most as i64, &raw mut count, values) };
        check("cudnnBackendGetAttribute", status)?;
        Ok(count.max(0) as usize)
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it was created, and nobody uses it any more. What it says is of no use to anybody.
        let _ = unsafe { sys::cudnnBackendDestroyDescriptor(self.0) };
    }
}
