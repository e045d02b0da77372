//! Writes a long recording for measurements: `long_recording JOINT SECONDS OUT.wav`.

use std::env;
use std::error::Error;
use std::path::Path;

use e2e_tests::{Joint, LongRecording};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<_> = env::args().skip(1).collect();
    let [joint, seconds, path] = &args[..] else {
        return Err(format!(
            "usage: long_recording {} SECONDS OUT.wav",
            Joint::ALL.map(Joint::name).join("|")
        )
        .into());
    };
    let joint: Joint = joint.parse()?;
    let long = LongRecording::new(joint, seconds.parse()?);
    long.write(0..long.samples.len(), Path::new(path))?;
    Ok(())
}
