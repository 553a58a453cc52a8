//! For eyes.

use super::*;

const SHAPE: ImageShape = ImageShape::new(28, 28, 1);

/// Not a test but a look: `cargo test -- --ignored look_at_the_bar --nocapture` on a terminal.
#[test]
#[ignore = "for eyes"]
fn look_at_the_bar() {
    let console = Console::new(ConsoleOptions::default());
    let pause = |milliseconds| std::thread::sleep(std::time::Duration::from_millis(milliseconds));
    let bytes = console.bytes();
    for done in 0..=100 {
        bytes.update("train-images-idx3-ubyte.gz", done * 99_124, Some(9_912_422));
        pause(10);
    }
    drop(bytes);
    let items = console.items("images", 100_000);
    for done in 0..=100 {
        items.set(done * 1000);
        pause(10);
    }
    items.finish();
    let progress = console.training(0, 3900);
    for step in 0..=3900 {
        progress.tick(step);
        if step.is_multiple_of(50) {
            progress.report(&status(step));
        }
        if step == 1000 {
            console.warning("the discriminator wins outright: the generator's gradient is gone");
        }
        if step == 2000 {
            console.note("a note above the bar");
        }
        pause(3);
    }
    progress.finish();
    console.note("done");
}

/// Not a test but a look: writes what we draw to the folder named by `LOOK`, from `../shared/data/mnist` if that is there.
#[test]
#[ignore = "for eyes"]
fn look_at_the_pictures() {
    let folder = std::path::PathBuf::from(std::env::var("LOOK").unwrap());
    let save = |name: &str, picture: &Picture| {
        let mut bytes = Vec::new();
        encode_png(picture, &mut bytes).unwrap();
        println!("{name}: {} bytes", bytes.len());
        fs::write(folder.join(name), bytes).unwrap();
    };
    let mut noise = gan::rng::Stream::new(1, "look").at(0);
    for (name, every, count, spike) in [("few", 250, 16, false), ("some", 10, 390, false), ("many", 1, 39_000, true)] {
        let mut curve = |start: f64, end: f64, spread: f64| -> Vec<(f64, f64)> {
            (0..count)
                .map(|index| {
                    let ease = 1.0 / (1.0 + index as f64 * 12.0 / count as f64);
                    let noise = f64::from(noise.symmetric() + noise.symmetric()) * spread;
                    let spike = if spike && index % 9001 == 500 { 40.0 } else { 0.0 };
                    ((index * every) as f64, end + (start - end) * ease + noise + spike)
                })
                .collect()
        };
        let (discriminator, generator) = (curve(1.41, 1.03, 0.09), curve(1.36, 0.89, 0.16));
        let start = std::time::Instant::now();
        let drawn = chart([&discriminator, &generator]).draw().unwrap();
        println!("{count} points drawn in {:?}", start.elapsed());
        save(&format!("losses-{name}.png"), &drawn);
    }
    save("losses-none.png", &chart([&[], &[]]).draw().unwrap());

    let mnist = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/mnist/train-images-idx3-ubyte.gz");
    let mnist = std::env::var("MNIST").unwrap_or(mnist.into());
    let Ok(file) = fs::File::open(mnist) else { return };
    let mut images = vec![0; 16 + 784 * 8000];
    io::Read::read_exact(&mut flate2::read::GzDecoder::new(file), &mut images).unwrap();
    let images: Vec<f32> = images[16..].iter().map(|&pixel| f32::from(pixel) / 127.5 - 1.0).collect();
    save("grid-64.png", &Grid::default().draw(&images, 64, SHAPE));
    save("grid-10.png", &Grid::default().draw(&images, 10, SHAPE));
    let frames = images.chunks(784 * 64).map(|images| Grid::default().draw(images, 64, SHAPE)).take(120);
    let mut bytes = Vec::new();
    let start = std::time::Instant::now();
    encode_gif(frames, 8, &mut bytes).unwrap();
    println!("film of 120 grids: {} bytes in {:?}", bytes.len(), start.elapsed());
    fs::write(folder.join("film.gif"), bytes).unwrap();
}
