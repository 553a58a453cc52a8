//! The saved configuration of each kind of run.
#![no_main]

use gan::train::finetune_config::FinetuneConfig;
use gan::train::gan_config::GanConfig;
use gan::train::simclr_config::SimclrConfig;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = serde_json::from_slice::<GanConfig>(bytes) {
        let _ = config.validate();
        config.last_step(468);
    }
    if let Ok(config) = serde_json::from_slice::<SimclrConfig>(bytes) {
        let _ = config.validate();
        config.last_step(781);
    }
    if let Ok(config) = serde_json::from_slice::<FinetuneConfig>(bytes) {
        let _ = config.validate();
    }
});
