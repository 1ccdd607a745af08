//! Points that build on one another; it may not know why a point stays.

use std::collections::BTreeMap;

use super::{Point, PointVerdict, Reason, Verdict};

/// Where the parent of each point stands.
pub(super) fn parents<I: Ord>(points: &[&Point<I>]) -> Vec<Option<usize>> {
    let positions: BTreeMap<&I, usize> = (0..)
        .zip(points)
        .map(|(position, point)| (&point.id, position))
        .collect();
    let position = |id: &I| positions.get(id).copied();
    points
        .iter()
        .map(|point| point.parent.as_ref().and_then(position))
        .collect()
}

/// Lets the ancestors of whatever stays stay. Each climb ends where an earlier one has been.
pub(super) fn keep_ancestors<I: Clone>(
    verdicts: &mut [PointVerdict<I>],
    parents: &[Option<usize>],
) {
    for start in 0..verdicts.len() {
        let mut child = start;
        while verdicts[child].verdict == Verdict::Keep
            && let Some(parent) = parents[child]
            && verdicts[parent].verdict == Verdict::Delete
        {
            verdicts[parent].verdict = Verdict::Keep;
            verdicts[parent].reasons = vec![Reason::ParentOf(verdicts[child].id.clone())];
            child = parent;
        }
    }
}

/// Those that go: from the oldest root to the newest, and each with its descendants before it.
pub(super) fn deletion_order<I>(
    verdicts: &[PointVerdict<I>],
    parents: &[Option<usize>],
) -> Vec<usize> {
    let goes = |position: &usize| verdicts[*position].verdict == Verdict::Delete;
    let mut children = vec![Vec::new(); verdicts.len()];
    let mut roots = Vec::new();
    for position in (0..verdicts.len()).filter(goes) {
        match parents[position].filter(goes) {
            Some(parent) => children[parent].push(position),
            None => roots.push(position),
        }
    }
    let mut order = Vec::new();
    for root in roots.into_iter().rev() {
        let start = order.len();
        let mut open = vec![root];
        while let Some(position) = open.pop() {
            order.push(position);
            open.extend(&children[position]);
        }
        order[start..].reverse();
    }
    order
}

/// Lets stay what no order of deletion reached. Only broken data has such points.
pub(super) fn keep_circular<I>(verdicts: &mut [PointVerdict<I>], deletions: &[usize]) {
    let mut reached = vec![false; verdicts.len()];
    for position in deletions {
        reached[*position] = true;
    }
    for (verdict, reached) in verdicts.iter_mut().zip(reached) {
        if verdict.verdict == Verdict::Delete && !reached {
            verdict.verdict = Verdict::Keep;
            verdict.reasons = vec![Reason::Circular];
        }
    }
}
