//! Commands of `jobs`, recorded below the unmodified program.

use std::{fs, path::Path, process::Command};

use crate::{
    campaign::{Campaign, Promise, walk},
    enumerate::{Choice, image},
    jobs::{Before, DAMAGED_EVERY, DATA_DIR, Done, Job, TAKEN, TO, damage, names, seen, succeed},
    judge::Subject,
    network::Programs,
    record::{Recorder, Recording},
    scenario::{HEAD, MOVED, SHIP, Said},
    trace::{Event, Operation},
};

impl Job {
    /// Records it over a variant of the chain.
    ///
    /// # Panics
    /// When it fails.
    #[must_use]
    pub fn record(&self, programs: &Programs, folder: &Path, variant: u64) -> Campaign {
        let [root, source] = ["root", "source"].map(|name| folder.join(name));
        let data = root.join("data");
        let made = if self.flag == TO { &source } else { &data };
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(made).unwrap();
        let drive = |what: &str, scenario: &str, folder: &Path| {
            let scenario = format!("{scenario}@{variant}");
            succeed(Command::new(&programs.driver).args([what, scenario.as_str()]).arg(folder))
                .unwrap();
        };
        match self.before {
            Before::Part => {
                fs::create_dir_all(&source).unwrap();
                drive("prepare", SHIP, &source);
                drive("drive", SHIP, &source);
                drive("prepare", HEAD, made);
                drive("drive", HEAD, made);
            }
            _ => drive("prepare", MOVED, made),
        }
        match self.before {
            Before::Nothing | Before::Part => {}
            Before::Damage => damage(&made.join("db"), DAMAGED_EVERY).unwrap(),
            Before::Command(arguments) => {
                let mut command = Command::new(&programs.lamella);
                succeed(command.args(arguments).arg(DATA_DIR).arg(made)).unwrap();
                for name in names(made).unwrap().into_keys().filter(|name| name != "db") {
                    fs::remove_dir_all(made.join(name)).unwrap();
                }
            }
        }
        let recorder = Recorder::begin(&root, &folder.join("strace.log"));
        self.run(self.told(&mut recorder.command(&programs.lamella), &source, &data)).unwrap();
        let mut recording = recorder.end();
        // What every image comes to in the end is equal to this, row by row.
        let verify = ["db", "verify", DATA_DIR];
        succeed(Command::new(&programs.lamella).args(verify).arg(&data)).unwrap();
        let reference = self.reference(&mut recording, &folder.join("looked"));
        let done = Done {
            job: self.name.to_owned(),
            lamella: programs.lamella.clone(),
            source,
            seen: reference.last().unwrap().clone(),
            names: names(&data).unwrap(),
        };
        let name = match variant {
            0 => self.name.to_owned(),
            variant => format!("{}@{variant}", self.name),
        };
        let subject = Subject::Job(done);
        Campaign { name, recording, subject, promise: Promise::Steps { reference, from: Some(0) } }
    }

    /// The command of a recording, below another folder.
    pub fn below<'a>(
        &self,
        campaign: &Campaign,
        root: &Path,
        command: &'a mut Command,
    ) -> &'a mut Command {
        let Subject::Job(done) = &campaign.subject else { return command };
        self.told(command, &done.source, &root.join("data"))
    }

    /// Runs it again, recorded, over what a kill left, and says whether it ended well: a copy that has its name is in the way.
    #[must_use]
    pub fn again(
        &self,
        programs: &Programs,
        campaign: &Campaign,
        recorder: &Recorder,
        root: &Path,
    ) -> bool {
        let mut command = recorder.command(&programs.lamella);
        self.run(self.below(campaign, root, &mut command)).is_ok()
    }

    /// What is seen at each point of a run without a crash, each time it is something else. The recording then says before
    /// which call each begins, and in the end that all is done.
    fn reference(&self, recording: &mut Recording, folder: &Path) -> Vec<String> {
        let trace = &recording.trace;
        let (mut reference, mut begins) = (Vec::new(), Vec::new());
        walk(recording, |at, disk| {
            let number = match at.checked_sub(1).map(|last| &trace.events[last]) {
                Some(Event::End(number)) => Some(*number),
                Some(_) => return true,
                None => None,
            };
            let operation = number.map(|number| &trace.operations[number]);
            // Rows change with the last write of a commit.
            if operation
                .is_some_and(|it| matches!(it, Operation::Write { .. }) && !it.is_meta_write())
            {
                return true;
            }
            image(disk, Choice::All, &recording.last, 0).write(folder);
            let seen = seen(&folder.join("data/db"), Some(TAKEN)).expect("a run without a crash");
            if reference.last() != Some(&seen) {
                reference.push(seen);
                begins.extend(number.map(Event::Begin));
            }
            true
        });
        let (mut events, mut step) = (Vec::new(), 0);
        for event in std::mem::take(&mut recording.trace.events) {
            if begins.contains(&event) {
                step += 1;
                events.push(Event::Said(Said::Begin.line(step)));
            }
            events.push(event);
        }
        events.push(Event::Said(Said::Acknowledged.line(step)));
        recording.trace.events = events;
        reference
    }
}
