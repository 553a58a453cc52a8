//! `--skip-broken` of the commands that train: what is left out is said, kept in mind, and missing exactly.

use crate::support::{Workplace, bytes_of, write_pictures};

/// Pictures, one of them cut short.
fn place() -> Workplace {
    let work = Workplace::new();
    write_pictures(&work.path("pictures"), 12, 4);
    let whole = work.read("pictures/train/cross/003.png");
    std::fs::write(work.path("pictures/train/cross/003.png"), &whole[..whole.len() / 2]).unwrap();
    work
}

#[track_caller]
fn ends(work: &Workplace, arguments: &str, code: i32) -> String {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output = work.gan(&arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    stderr
}

const GAN: &str = "train-gan --model vanilla --image-size 16 --batch-size 8 --data pictures --checkpoint-every 2";
const SIMCLR: &str = "pretrain-simclr --encoder resnet9 --batch-size 8 --steps 1 --data pictures";
const FINETUNE: &str = "finetune --weights bundled --labels 1.0 --epochs 1 --data pictures";

#[test]
fn a_broken_picture_ends_a_run_or_is_left_out() {
    let work = place();
    for command in [&format!("{GAN} --steps 1"), SIMCLR, FINETUNE] {
        let refused = ends(&work, command, 3);
        assert!(refused.contains("cross/003.png: cannot be decoded") && refused.contains("--skip-broken"), "{refused}");
        let said = ends(&work, &format!("{command} --skip-broken"), 0);
        assert!(said.contains("1 picture cannot be decoded and is left out: pictures/train/cross/003.png"), "{said}");
    }
}

#[test]
fn a_resumed_run_leaves_out_the_same() {
    let work = place();
    ends(&work, &format!("{GAN} --skip-broken --run whole --steps 4"), 0);
    ends(&work, &format!("{GAN} --skip-broken --run part --steps 2"), 0);
    ends(&work, "train-gan --resume part --steps 4", 0);
    let of = |run: &str| bytes_of(&work.tensors(&format!("weights/{run}/step-00000004.safetensors")));
    assert_eq!(of("whole"), of("part"));
    // As if it had never been there.
    std::fs::remove_file(work.path("pictures/train/cross/003.png")).unwrap();
    ends(&work, &format!("{GAN} --run without --steps 4"), 0);
    assert_eq!(of("whole"), of("without"));
    assert!(ends(&work, "train-gan --resume without --skip-broken --steps 8", 2).contains("--skip-broken"));
}

#[test]
fn a_folder_with_no_whole_picture_is_refused() {
    let work = place();
    for class in ["bar", "cross", "disc"] {
        for index in 0..12 {
            std::fs::write(work.path(&format!("pictures/train/{class}/{index:03}.png")), "no picture").unwrap();
        }
    }
    let said = ends(&work, &format!("{GAN} --steps 1 --skip-broken"), 3);
    assert!(said.contains("bar/000.png: cannot be decoded, nor can the 35 others"), "{said}");
}
