//! Takes one stage out of the Dockerfile.
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
    Ok(arguments(dockerfile)
        .chain(stage)
        .collect::<Vec<_>>()
        .join("\n")
        + "\n")
}

/// A Dockerfile for the stage `name` on the base image of `tools`, with the commands `replaced` in place of those
/// of `tools`.
///
/// # Errors
///
/// When the Dockerfile has no such stage, or the stage is not based on `tools`.
pub(super) fn stage_alone(dockerfile: &str, name: &str, replaced: &str) -> Result<String> {
    let begins = |name: &str| {
        let end = format!(" AS {name}");
        move |line: &&str| is_from(line) && line.ends_with(&end)
    };
    let base = dockerfile.lines().find(begins("tools"));
    let base = base.context("the Dockerfile has no stage tools")?;
    let mut stage = dockerfile.lines().skip_while(|line| !begins(name)(line));
    let from = stage
        .next()
        .with_context(|| format!("the Dockerfile has no stage {name}"))?;
    anyhow::ensure!(
        from.starts_with("FROM tools "),
        "the stage {name} begins with `{from}`, expected `FROM tools`"
    );
    let stage = stage.take_while(|line| !is_from(line));
    let head = arguments(dockerfile).chain([base, replaced.trim_end(), from]);
    Ok(head.chain(stage).collect::<Vec<_>>().join("\n") + "\n")
}

fn is_from(line: &str) -> bool {
    line.starts_with("FROM ")
}

/// The `ARG` lines from before the first stage.
fn arguments(dockerfile: &str) -> impl Iterator<Item = &str> {
    dockerfile
        .lines()
        .take_while(|line| !is_from(line))
        .filter(|line| line.starts_with("ARG "))
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
    fn a_stage_stands_alone_on_the_base_image_of_the_tools() {
        let text = "ARG A=1\nFROM rust:${A} AS tools\nRUN fetch\nFROM tools AS build\nRUN make\n\n\
            FROM tools AS other\nRUN no\nFROM base\nCOPY --from=build /a /b\n";
        let expected =
            "ARG A=1\nFROM rust:${A} AS tools\nWORKDIR /src\nFROM tools AS build\nRUN make\n\n";
        assert_eq!(
            stage_alone(text, "build", "WORKDIR /src\n").unwrap(),
            expected
        );
        assert!(stage_alone(text, "missing", "").is_err());
        assert!(stage_alone(text, "tools", "").is_err());
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
