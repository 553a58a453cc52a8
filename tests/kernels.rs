//! Every kernel's source through NVRTC, which needs no GPU: for the oldest cards that are supported and for new ones.
//! Ignored unless it is asked for: it needs libnvrtc; `GAN_NVRTC` names it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use crate::support::repository;

const ARCHITECTURES: [&str; 2] = ["compute_80", "compute_90"];

/// Of a layer's values.
const TYPES: [&str; 2] = ["float", "bfloat16"];

type Program = *mut c_void;

type Create =
    unsafe extern "C" fn(*mut Program, *const c_char, *const c_char, c_int, *const c_void, *const c_void) -> c_int;
type Compile = unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int;
type LogSize = unsafe extern "C" fn(Program, *mut usize) -> c_int;
type Log = unsafe extern "C" fn(Program, *mut c_char) -> c_int;
type Destroy = unsafe extern "C" fn(*mut Program) -> c_int;

/// The functions of NVRTC that this needs; <https://docs.nvidia.com/cuda/nvrtc> has their signatures.
struct Nvrtc {
    create: Create,
    compile: Compile,
    log_size: LogSize,
    log: Log,
    destroy: Destroy,
}

impl Nvrtc {
    fn open() -> Option<Self> {
        let named = std::env::var("GAN_NVRTC").ok();
        let names = named.as_deref().into_iter().chain(["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"]);
        let library = names.map(|name| CString::new(name).unwrap()).find_map(|name| {
            // SAFETY: the name is a string of C's; nothing else is asked of a library than to be loaded.
            let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW) };
            (!library.is_null()).then_some(library)
        })?;
        let symbol = |name: &CStr| {
            // SAFETY: the library is loaded, and stays.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            assert!(!found.is_null(), "{name:?}");
            found
        };
        // SAFETY: the functions of these names have these signatures.
        unsafe {
            Some(Self {
                create: std::mem::transmute::<*mut c_void, Create>(symbol(c"nvrtcCreateProgram")),
                compile: std::mem::transmute::<*mut c_void, Compile>(symbol(c"nvrtcCompileProgram")),
                log_size: std::mem::transmute::<*mut c_void, LogSize>(symbol(c"nvrtcGetProgramLogSize")),
                log: std::mem::transmute::<*mut c_void, Log>(symbol(c"nvrtcGetProgramLog")),
                destroy: std::mem::transmute::<*mut c_void, Destroy>(symbol(c"nvrtcDestroyProgram")),
            })
        }
    }

    /// What is wrong with a source, or nothing.
    fn compile(&self, source: &str, options: &[String]) -> Result<(), String> {
        let source = CString::new(source).unwrap();
        let options: Vec<CString> = options.iter().map(|option| CString::new(option.as_str()).unwrap()).collect();
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        let mut program = std::ptr::null_mut();
        // SAFETY: all strings outlive the calls, and the log has the size that is asked for.
        unsafe {
            let none = std::ptr::null();
            assert_eq!((self.create)(&mut program, source.as_ptr(), c"kernel.cu".as_ptr(), 0, none, none), 0);
            let status = (self.compile)(program, pointers.len() as c_int, pointers.as_ptr());
            let mut size = 0;
            (self.log_size)(program, &mut size);
            let mut log = vec![0u8; size.max(1)];
            (self.log)(program, log.as_mut_ptr().cast());
            (self.destroy)(&mut program);
            let log = String::from_utf8_lossy(&log).trim_end_matches('\0').to_string();
            if status == 0 { Ok(()) } else { Err(format!("status {status}: {log}")) }
        }
    }
}

/// The files under `directory` of this extension.
fn sources(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
#[ignore = "needs libnvrtc: tests/gpu.sh kernels"]
fn every_kernel_compiles() {
    let nvrtc = Nvrtc::open().expect("libnvrtc on the loader's path, or named by GAN_NVRTC");
    let root = Path::new(&repository()).join("src");
    let read = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
    let prelude: String = sources(&root, "cuh").iter().map(read).collect();
    let kernels = sources(&root, "cu");
    assert!(!kernels.is_empty(), "there are kernels");
    for path in kernels {
        let source = format!("{prelude}\n#line 1\n{}", read(&path));
        for (architecture, values) in ARCHITECTURES.into_iter().flat_map(|of| TYPES.map(|values| (of, values))) {
            let options = [
                format!("--gpu-architecture={architecture}"),
                format!("--define-macro=V={values}"),
                "--std=c++17".to_string(),
            ];
            let result = nvrtc.compile(&source, &options);
            assert_eq!(result, Ok(()), "{} of {values} for {architecture}", path.display());
        }
    }
}
