//! A service, as a probe looks at it.

use ebbtide::{Drain, Label};
use ebbtide_service::{Obstacle as ServiceObstacle, PartError, PartStatus, Readiness, Service, StageStatus, Status};

use crate::Probe;
use crate::view::{Look, Obstacle, ObstacleKind, PartSeen, StageSeen, View};

impl Probe {
    /// A probe of a whole service: with its stages, its readiness and its deadline.
    ///
    /// # Examples
    ///
    /// ```
    /// use ebbtide_probe::Probe;
    /// use ebbtide_tokio::Service;
    ///
    /// let service = Service::without_signals();
    /// let probe = Probe::of(&service);
    /// let service = service.task("mailer", |_| async { /* ... */ });
    /// # drop((probe, service));
    /// ```
    pub fn of<R>(service: &Service<R>) -> Self
    where
        R: ebbtide_service::Runtime,
    {
        let drain = service.drain().clone();
        let view = Whole { drain: drain.clone(), status: service.status(), readiness: service.readiness() };
        Self::looking(drain, Box::new(view))
    }
}

struct Whole {
    drain: Drain,
    status: Status,
    readiness: Readiness,
}

impl View for Whole {
    fn look(&self) -> Look {
        Look {
            // Before the parts: who sees the whole closed sees them closed.
            state: self.drain.state(),
            lame_duck: self.status.lame_duck(),
            elapsed: self.status.elapsed(),
            deadline: self.status.deadline(),
            stages: self.status.stages().iter().map(stage).collect(),
        }
    }

    fn obstacle(&self) -> Option<Obstacle> {
        let obstacle = self.readiness.obstacle()?;
        let kind = match obstacle {
            ServiceObstacle::Starting(_) => ObstacleKind::Starting,
            ServiceObstacle::SwitchedOff => ObstacleKind::SwitchedOff,
            _ => ObstacleKind::Draining,
        };
        Some(Obstacle { kind, text: obstacle.to_string() })
    }

    fn set_ready(&self, is_on: bool) {
        self.readiness.set(is_on);
    }

    fn is_failure(&self, cause: &Label) -> bool {
        cause.downcast_ref::<PartError>().is_some()
    }
}

fn stage(stage: &StageStatus) -> StageSeen {
    StageSeen { is_closing: stage.is_closing(), parts: stage.parts().iter().map(part).collect() }
}

fn part(part: &PartStatus) -> PartSeen {
    PartSeen {
        name: Some(part.label().clone()),
        address: part.address().map(str::to_owned),
        state: part.state(),
        guards: part.guards(),
        held: part.held().to_vec(),
        overdue: part.overdue().cloned(),
    }
}
