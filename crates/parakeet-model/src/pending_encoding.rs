//! A batch that is being encoded.

use std::time::Duration;

use rnnt_decode::{Head, TokenId};

use crate::error::Error;
use crate::network::Network;
use crate::network::pending::Pending;
use crate::utterances::Utterances;

/// A batch that is being encoded; see [`crate::ParakeetModel::begin_encoding`].
///
/// Dropping it neither stops the encoder nor waits for it: [`cancel`](Self::cancel) does both.
pub struct PendingEncoding<'model> {
    pub(crate) network: &'model Network,
    pub(crate) head: Head,
    pub(crate) blank: TokenId,
    pub(crate) pending: Pending,
}

impl<'model> PendingEncoding<'model> {
    /// Waits until the batch is encoded. Returns the batch, and how long the encoder took, whether the
    /// encoding succeeded or not.
    ///
    /// # Errors
    ///
    /// The first part of the result holds the errors of [`crate::ParakeetModel::encode`].
    ///
    /// # Panics
    ///
    /// If the encoder's thread panicked.
    pub fn wait(self) -> (Result<Utterances<'model>, Error>, Duration) {
        let Self {
            network,
            head,
            blank,
            pending,
        } = self;
        let (encoded, took) = pending.wait();
        let utterances = encoded.map(|it| Utterances::new(network, head, blank, it));
        (utterances, took)
    }

    /// Stops the encoding after the pass that the encoder works on, and waits until the batch's memory is
    /// free.
    pub fn cancel(self) {
        self.pending.cancel();
    }
}
