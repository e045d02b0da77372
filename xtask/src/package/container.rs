//! Takes the last stage out of the Dockerfile.
//!
//! The stages before the last one fetch compilers and compile. If their results exist, each as a folder, then
//! the last stage makes the same image, and the Dockerfile remains the only description of the image.

use anyhow::{Context as _, Result};

/// The stages that the last one copies from.
pub(super) const STAGES: [&str; 4] = ["tools", "libtorch", "export", "build"];

/// A Dockerfile for the last stage: the `ARG` lines from before the first stage, then the stage.
///
/// # Errors
///
/// When the Dockerfile has no stage, or its last stage copies from a stage that is not in [`STAGES`].
pub(super) fn last_stage(dockerfile: &str) -> Result<String> {
    let is_from = |line: &&str| line.starts_with("FROM ");
    let arguments = dockerfile
        .lines()
        .take_while(|line| !is_from(line))
        .filter(|line| line.starts_with("ARG "));
    let start = dockerfile
        .rfind("\nFROM ")
        .context("the Dockerfile has no stage")?;
    let stage = dockerfile[start + 1..].lines();
    for line in stage.clone() {
        let from = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("--from="));
        if let Some(unknown) = from.filter(|name| !STAGES.contains(name)) {
            anyhow::bail!("the last stage copies from {unknown}, which is not made here");
        }
    }
    Ok(arguments.chain(stage).collect::<Vec<_>>().join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stage_stands_alone_with_the_arguments_of_the_file() {
        let text = "# about\nARG BASE=debian\nFROM rust AS tools\nRUN make\n\nFROM ${BASE}\n\
            COPY --from=tools /a /b\nUSER 1\n";
        let expected = "ARG BASE=debian\nFROM ${BASE}\nCOPY --from=tools /a /b\nUSER 1\n";
        assert_eq!(last_stage(text).unwrap(), expected);
    }

    #[test]
    fn a_stage_that_is_not_made_here_is_an_error() {
        assert!(last_stage("FROM a\nFROM b\nCOPY --from=other /a /b\n").is_err());
        assert!(last_stage("ARG a\n").is_err());
    }

    #[test]
    fn the_dockerfile_of_this_repository_has_the_shape() {
        let stage = last_stage(include_str!("../../../Dockerfile")).unwrap();
        assert!(
            stage.contains("\nENTRYPOINT [\"parakeet-worker\"]\n"),
            "{stage}"
        );
        assert!(!stage.contains("cargo"), "{stage}");
    }
}
