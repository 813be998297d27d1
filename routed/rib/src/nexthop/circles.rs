//! Which nodes of a graph stand in a circle (Tarjan, "Depth-first search and
//! linear graph algorithms", 1972), without recursion: peers choose how deep
//! the graph is.

/// The nodes of a graph, after those that they lead to.
pub(super) struct Circles {
    /// Every node; one stands after all that it leads to, but for those that
    /// are in its circle.
    pub(super) order: Vec<usize>,
    /// The circle of each node: nodes that lead to each other have the same.
    pub(super) of: Vec<usize>,
}

/// Not in any circle yet.
const NONE: usize = usize::MAX;

struct Search<'a> {
    edges: &'a [Vec<usize>],
    /// When each node was first seen, and the earliest that it leads back to.
    seen: Vec<usize>,
    low: Vec<usize>,
    count: usize,
    /// Seen, and not in a circle yet.
    open: Vec<usize>,
    found: Circles,
    circles: usize,
}

/// Finds the circles of a graph: `edges` are the nodes that each node leads to.
pub(super) fn circles(edges: &[Vec<usize>]) -> Circles {
    let nodes = edges.len();
    let mut search = Search {
        edges,
        seen: vec![NONE; nodes],
        low: vec![NONE; nodes],
        count: 0,
        open: Vec::new(),
        found: Circles { order: Vec::with_capacity(nodes), of: vec![NONE; nodes] },
        circles: 0,
    };
    for node in 0..nodes {
        if search.seen[node] == NONE {
            search.walk(node);
        }
    }
    search.found
}

impl Search<'_> {
    /// Walks all that a node leads to.
    fn walk(&mut self, root: usize) {
        let mut way = vec![(self.enter(root), 0)];
        while let Some((node, edge)) = way.last_mut() {
            let node = *node;
            if let Some(next) = self.edges[node].get(*edge).copied() {
                *edge += 1;
                if self.seen[next] == NONE {
                    way.push((self.enter(next), 0));
                } else if self.found.of[next] == NONE {
                    self.low[node] = self.low[node].min(self.seen[next]);
                }
                continue;
            }
            way.pop();
            if let Some((before, _)) = way.last() {
                self.low[*before] = self.low[*before].min(self.low[node]);
            }
            if self.low[node] == self.seen[node] {
                self.close(node);
            }
        }
    }

    fn enter(&mut self, node: usize) -> usize {
        (self.seen[node], self.low[node]) = (self.count, self.count);
        self.count += 1;
        self.open.push(node);
        node
    }

    /// All that is open since a node is its circle.
    fn close(&mut self, node: usize) {
        while let Some(last) = self.open.pop() {
            self.found.of[last] = self.circles;
            self.found.order.push(last);
            if last == node {
                break;
            }
        }
        self.circles += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every node that a node leads to, itself only if it leads back.
    fn reach(edges: &[Vec<usize>], from: usize) -> Vec<bool> {
        let mut reached = vec![false; edges.len()];
        let mut queue = edges[from].clone();
        while let Some(node) = queue.pop() {
            if !std::mem::replace(&mut reached[node], true) {
                queue.extend(&edges[node]);
            }
        }
        reached
    }

    proptest! {
        #[test]
        fn who_leads_to_each_other_stands_in_one_circle_and_the_order_is_sound(
            edges in (1usize..12).prop_flat_map(|nodes| {
                prop::collection::vec(prop::collection::vec(0..nodes, 0..4), nodes)
            })
        ) {
            let Circles { order, of } = circles(&edges);
            let all: Vec<Vec<bool>> = (0..edges.len()).map(|node| reach(&edges, node)).collect();
            for a in 0..edges.len() {
                for b in 0..edges.len() {
                    let both = a == b || (all[a][b] && all[b][a]);
                    prop_assert_eq!(of[a] == of[b], both, "{} and {}", a, b);
                    let place = |node| order.iter().position(|other| *other == node);
                    prop_assert!(both || !all[a][b] || place(b) < place(a), "{} needs {}", a, b);
                }
            }
            prop_assert_eq!(order.len(), edges.len());
        }
    }
}
