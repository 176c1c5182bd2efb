//! Work that says when it has begun, and is done when it is let.

use std::sync::Arc;

use tokio::sync::Semaphore;

#[derive(Clone)]
pub struct Work(Arc<[Semaphore; 2]>);

impl Default for Work {
    fn default() -> Self {
        Self(Arc::new([Semaphore::new(0), Semaphore::new(0)]))
    }
}

impl Work {
    /// What the host runs.
    pub async fn run(self) -> &'static str {
        let [begun, gate] = &*self.0;
        begun.add_permits(1);
        gate.acquire().await.expect("it is open").forget();
        "done"
    }

    pub async fn has_begun(&self) {
        self.0[0].acquire().await.expect("it is open").forget();
    }

    pub fn let_go(&self) {
        self.0[1].add_permits(1);
    }
}
