//! Kernels from their sources: compiled by NVRTC when first used.

use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::{DType, Result, bail};

/// What every source begins with.
pub const PRELUDE: &str = include_str!("prelude.cuh");

/// A `kernel.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    pub name: &'static str,
    pub text: &'static str,
}

/// A source for one type of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Module {
    pub source: Source,
    pub values: DType,
}

impl Module {
    /// By which candle knows the compiled code.
    pub fn name(&self) -> String {
        format!("gan_{}_{}", self.source.name, self.values.as_str())
    }

    /// The code for a compute capability, as PTX.
    pub fn compile(&self, major: i32, minor: i32) -> Result<String> {
        let values = match self.values {
            DType::F32 => "float",
            DType::BF16 => "bfloat16",
            other => bail!("{}: no kernels for {other:?}", self.source.name),
        };
        let options = CompileOptions {
            options: vec![
                format!("--gpu-architecture=compute_{major}{minor}"),
                format!("--define-macro=V={values}"),
                "--std=c++17".into(),
            ],
            name: Some(format!("{}.cu", self.source.name)),
            ..Default::default()
        };
        match compile_ptx_with_opts(format!("{PRELUDE}\n#line 1\n{}", self.source.text), options) {
            Ok(ptx) => Ok(ptx.to_src()),
            Err(error) => bail!("the kernels of {} do not compile: {error}", self.source.name),
        }
    }
}
