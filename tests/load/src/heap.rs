//! What a server has allocated and not freed.

/// The live bytes of this process, by whoever counts them.
#[derive(Clone, Copy, Debug)]
pub struct Heap(pub fn() -> usize);

/// The path that tells.
pub(crate) const PATH: &str = "/heap";

impl Heap {
    /// As a response's body.
    pub(crate) fn tell(self) -> String {
        (self.0)().to_string()
    }
}
