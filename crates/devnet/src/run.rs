//! A whole run: the folder, the processes, the verdict.

use std::sync::Arc;

use lamella_interrupt::Interrupt;

use super::{
    error::DevnetError,
    folder::Folder,
    options::{Announced, DevnetOptions, KeyProgress},
    show::Show,
    watch::Watch,
};

/// Runs a network until its slots are over or `stop` is thrown; no node is left running.
///
/// # Errors
/// [`DevnetError`]; [`DevnetError::Failed`] after a verdict that was shown, [`DevnetError::Stopped`] if told to stop
/// before the slots asked for were over.
pub fn run(
    options: &DevnetOptions,
    stop: &Interrupt,
    show: &mut dyn Show,
    progress: &KeyProgress,
) -> Result<(), DevnetError> {
    match run_to_the_end(options, stop, show, progress) {
        Err(DevnetError::Stopped) if options.slots.is_none() => Ok(()),
        ended => ended,
    }
}

fn run_to_the_end(
    options: &DevnetOptions,
    stop: &Interrupt,
    show: &mut dyn Show,
    progress: &KeyProgress,
) -> Result<(), DevnetError> {
    let (asked, progress) = (options.clone(), Arc::clone(progress));
    let prepared = stop.race(move || Folder::prepare(&asked, &progress));
    let folder = prepared.ok_or(DevnetError::Stopped)??;
    show.announced(&announced(options, &folder))?;
    let mut watch = Watch::start(options, folder, stop, show)?;
    watch.run()?;
    let verdict = watch.judge(options.seed)?;
    match verdict.checks.iter().filter(|check| !check.passed).count() {
        0 => Ok(()),
        failed => Err(DevnetError::Failed { failed, checks: verdict.checks.len() }),
    }
}

fn announced(options: &DevnetOptions, folder: &Folder) -> Announced {
    Announced {
        resumed: folder.resumed,
        nodes: folder.record.nodes,
        validators: folder.record.validators,
        slot_ms: folder.slot_ms,
        last_signable_slot: folder.record.last_signable_slot(),
        slot: folder.now(),
        dir: options.dir.clone(),
        pages: folder.ports.pages(),
    }
}
