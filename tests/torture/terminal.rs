//! Pipes that close, streams that are closed or full, and a terminal: nothing panics, no escape code where none belongs,
//! and the terminal is left as it was.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::{Ended, Running, end_of};
use crate::runs::{Kind, Place};

/// A terminal of the child's own.
pub struct Settings {
    pub columns: u16,
    /// `TERM`
    pub kind: &'static str,
    pub no_color: bool,
    /// What is typed, and when.
    pub typed: Option<(Duration, &'static [u8])>,
    /// Stdout is the terminal too.
    pub whole: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { columns: 80, kind: "xterm-256color", no_color: false, typed: None, whole: false }
    }
}

/// What a terminal was told.
#[derive(Debug)]
pub struct Screen {
    pub code: Option<i32>,
    pub text: String,
}

impl Screen {
    /// Runs `command` on a terminal, which it must leave in the mode that it found.
    pub fn run(mut command: Command, settings: &Settings) -> Self {
        let (controller, terminal) = open(settings.columns);
        let before = modes(&terminal);

        command.env("TERM", settings.kind).env_remove("NO_COLOR");
        if settings.no_color {
            command.env("NO_COLOR", "1");
        }
        command.stdin(terminal.try_clone().unwrap()).stderr(terminal.try_clone().unwrap());
        match settings.whole {
            true => command.stdout(terminal.try_clone().unwrap()),
            false => command.stdout(Stdio::null()),
        };
        // SAFETY: both calls are system calls and nothing else, which may be made between fork and exec.
        unsafe {
            command.pre_exec(|| {
                // A session of its own, of which stdin is the terminal.
                match libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 {
                    true => Ok(()),
                    false => Err(std::io::Error::last_os_error()),
                }
            })
        };
        let mut child = command.spawn().unwrap();
        drop(command); // and with it its copies of the terminal
        let mut screen = controller.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
            // The end of a terminal is an I/O error.
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                text.extend_from_slice(&buffer[..read]);
            }
            text
        });
        if let Some((pause, keys)) = settings.typed {
            std::thread::sleep(pause);
            (&controller).write_all(keys).unwrap();
        }
        let code = child.wait().unwrap().code();
        assert_eq!(modes(&terminal), before, "the terminal is in another mode than before");
        drop(terminal);
        let text = String::from_utf8_lossy(&reader.join().unwrap()).into_owned();
        assert!(!text.contains("panicked"), "{text}");
        assert_eq!(
            text.matches("\x1b[?25l").count(),
            text.matches("\x1b[?25h").count(),
            "the cursor is hidden: {text:?}"
        );
        Self { code, text }
    }

    pub fn expect(&self, code: i32, what: &str) -> &Self {
        assert_eq!(self.code, Some(code), "{what}: {:?}", self.text);
        self
    }

    /// The pieces between the returns of the cursor, without escape sequences.
    fn pieces(&self) -> Vec<String> {
        let mut plain = String::new();
        let mut rest = self.text.chars().peekable();
        while let Some(character) = rest.next() {
            match character {
                '\x1b' => {
                    // A control sequence: up to its first letter.
                    while rest.next().is_some_and(|character| !character.is_ascii_alphabetic()) {}
                }
                other => plain.push(other),
            }
        }
        plain.split(['\r', '\n']).map(str::to_string).collect()
    }
}

/// A terminal of so many columns: the side of who looks at it, and the side of the program.
fn open(columns: u16) -> (File, File) {
    let (mut controller, mut terminal) = (0, 0);
    let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (name, settings) = (std::ptr::null_mut(), std::ptr::null());
    // SAFETY: openpty writes two descriptors into the integers, reads the size, and takes null for what is optional.
    assert_eq!(unsafe { libc::openpty(&mut controller, &mut terminal, name, settings, &size) }, 0);
    // SAFETY: both descriptors were just opened and belong to nobody else.
    unsafe { (File::from_raw_fd(controller), File::from_raw_fd(terminal)) }
}

/// Whether it echoes, edits lines, sends signals.
fn modes(terminal: &File) -> [libc::tcflag_t; 4] {
    // SAFETY: all-zero is a valid value of this plain C struct, which the call fills.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and the struct there to be written to.
    assert_eq!(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut settings) }, 0);
    [settings.c_iflag, settings.c_oflag, settings.c_cflag, settings.c_lflag]
}

/// With so many of the commands.
pub fn run(most: u64) -> String {
    let place = Place::new().with_encoder();
    end_of(&mut place.begin(Kind::Vanilla, "run", &[])).expect(0, "run");
    let newest = place.checkpoints("run").pop().unwrap().display().to_string();
    let mut tried = pipes(&place, &newest, most);
    tried += terminals(&place);
    format!("{tried} commands on closed pipes, closed and full streams, and terminals of 20 to 200 columns")
}

/// Every command, as it is called.
fn commands(newest: &str) -> Vec<Vec<&str>> {
    let resumed = ["--resume", "run", "--steps", "14", "--json"];
    vec![
        [&["train-gan"], &resumed[..]].concat(),
        vec!["sample", "--n", "500", "-o", "-", "--format", "npy"],
        vec!["sample", "-o", "-"],
        vec!["sample", "-o", "x.png", "--json"],
        vec!["inspect", newest, "--json"],
        vec!["completions", "bash"],
        vec!["man"],
        vec!["--help"],
        vec!["train-gan", "--help"],
        vec![
            "finetune",
            "--data",
            "pictures",
            "--labels",
            "1.0",
            "--batch-size",
            "6",
            "--epochs",
            "1",
            "--force",
            "-v",
        ],
    ]
}

fn pipes(place: &Place, newest: &str, most: u64) -> u64 {
    let mut tried = 0;
    for arguments in commands(newest).into_iter().take(most as usize) {
        let what = arguments.join(" ");
        // | head -c 1
        let mut child = Running::start(place.gan(&arguments).stdout(Stdio::piped()));
        child.child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        quiet(&child.wait(), 0, &what);
        // Nobody reads from the start.
        let mut child = Running::start(place.gan(&arguments).stdout(Stdio::piped()));
        drop(child.child.stdout.take());
        quiet(&child.wait(), 0, &what);
        for closed in ["<&-", ">&-", "<&- >&-", "2>/dev/full", "2>&-", "<&- >&- 2>&-"] {
            let mut shell = Command::new("sh");
            let program = place.gan(&arguments);
            shell.current_dir(program.get_current_dir().unwrap());
            shell.arg("-c").arg(format!("exec \"$@\" {closed}")).arg("sh").arg(program.get_program());
            shell.args(program.get_args());
            quiet(&end_of(&mut shell), 0, &format!("{what} {closed}"));
            tried += 1;
        }
        tried += 2;
    }
    // An error that cannot be said keeps its code.
    let mut shell = Command::new("sh");
    let program = place.gan(&["inspect", "nowhere"]);
    shell.arg("-c").arg("exec \"$@\" 2>/dev/full").arg("sh").arg(program.get_program()).args(program.get_args());
    quiet(&end_of(&mut shell), 3, "an error on a full stderr");
    tried + 1
}

fn quiet(ended: &Ended, code: i32, what: &str) {
    ended.expect(code, what);
    assert!(!ended.stderr.contains('\x1b'), "{what}: an escape code without a terminal: {:?}", ended.stderr);
    assert!(!ended.stderr.contains("error"), "{what}: {}", ended.stderr);
}

fn terminals(place: &Place) -> u64 {
    let begin = || {
        place.remove("screen");
        place.begin(Kind::Vanilla, "screen", &["--steps", "30"])
    };
    let is_colour = |code: &str| code.chars().find(char::is_ascii_alphabetic) == Some('m');
    let colour = |text: &str| text.split('\x1b').skip(1).any(is_colour);

    let shown = Screen::run(begin(), &Settings::default());
    shown.expect(0, "a terminal");
    assert!(shown.text.contains("/30") && shown.text.contains('\x1b'), "no bar: {:?}", shown.text);
    assert!(!shown.pieces().last().unwrap().contains("/30"), "the bar was left: {:?}", shown.text);

    let plain = Screen::run(begin(), &Settings { no_color: true, ..Settings::default() });
    plain.expect(0, "NO_COLOR");
    assert!(plain.text.contains("/30") && !colour(&plain.text), "colours: {:?}", plain.text);

    for kind in ["dumb", ""] {
        let dumb = Screen::run(begin(), &Settings { kind, ..Settings::default() });
        dumb.expect(0, "a dumb terminal");
        assert!(!dumb.text.contains('\x1b'), "TERM={kind:?}: {:?}", dumb.text);
    }

    for columns in [1, 2, 20, 200] {
        let narrow = Screen::run(begin(), &Settings { columns, ..Settings::default() });
        narrow.expect(0, "a narrow terminal");
        let bars = narrow.pieces().into_iter().filter(|piece| piece.contains("/30"));
        let widest = bars.map(|bar| bar.chars().count()).max().unwrap_or(0);
        assert!(widest <= usize::from(columns), "{columns} columns: a bar of {widest}");
    }

    // Ctrl-C as it is typed, with stdout on the terminal too.
    place.remove("screen");
    let typed = Some((Duration::from_millis(1500), &b"\x03"[..]));
    let command = place.begin(Kind::Vanilla, "screen", &["--steps", "100000", "--json"]);
    let stopped = Screen::run(command, &Settings { typed, whole: true, ..Settings::default() });
    stopped.expect(130, "Ctrl-C");
    assert!(stopped.text.contains("go on with --resume screen"), "{:?}", stopped.text);
    place.assert_whole("screen");

    let refused = Screen::run(place.gan(&["sample", "-o", "-"]), &Settings { whole: true, ..Settings::default() });
    refused.expect(2, "a picture on a terminal");
    10
}
