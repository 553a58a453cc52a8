//! Sums along a fixed binary tree.
//!
//! The leaves are shards 0 to S - 1. The node at level l with index i is the sum of nodes 2i and 2i + 1 at level l - 1, or
//! node 2i alone where there is no other. Addition of two floats gives the same bits in either order, so the root depends
//! on the leaves alone, and not on where a node was computed.

use std::ops::Range;

/// A node of the tree over so many shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    pub level: u32,
    pub index: usize,
}

impl Node {
    pub fn leaf(shard: usize) -> Self {
        Self { level: 0, index: shard }
    }

    /// The sum of all `shards`.
    pub fn root(shards: usize) -> Self {
        Self { level: shards.next_power_of_two().trailing_zeros(), index: 0 }
    }

    /// The nodes that it is the sum of; `None` of a leaf.
    pub fn children(self, shards: usize) -> Option<(Self, Option<Self>)> {
        let left = Self { level: self.level.checked_sub(1)?, index: 2 * self.index };
        Some((left, left.sibling(shards)))
    }

    fn parent(self) -> Self {
        Self { level: self.level + 1, index: self.index / 2 }
    }

    /// The node beside it in a tree over `shards`; `None` where it is alone.
    fn sibling(self, shards: usize) -> Option<Self> {
        let index = self.index ^ 1;
        let begin = index.checked_shl(self.level)?;
        (begin < shards).then_some(Self { level: self.level, index })
    }

    /// Whether it is the sum of all `shards`.
    fn is_root(self, shards: usize) -> bool {
        self.index == 0 && self.sibling(shards).is_none()
    }
}

/// Sums of nodes of a tree over `shards`, as far as they can be formed: what is added to it is summed with the node beside
/// it as soon as that is there.
#[derive(Clone, Debug)]
pub struct Sums<T> {
    shards: usize,
    nodes: Vec<(Node, T)>,
}

impl<T> Sums<T> {
    pub fn new(shards: usize) -> Self {
        Self { shards, nodes: Vec::new() }
    }

    /// Adds the value of a node, of which no part has been added before. `add` sums two values of the same shape. Returns the
    /// largest sum that was formed by it.
    pub fn insert<E>(
        &mut self,
        mut node: Node,
        mut value: T,
        add: impl Fn(T, T) -> Result<T, E>,
    ) -> Result<(Node, &T), E> {
        while !node.is_root(self.shards) {
            if let Some(sibling) = node.sibling(self.shards) {
                let Some(place) = self.nodes.iter().position(|(other, _)| *other == sibling) else { break };
                let (_, other) = self.nodes.swap_remove(place);
                value = add(other, value)?;
            }
            node = node.parent();
        }
        self.nodes.push((node, value));
        Ok((node, &self.nodes[self.nodes.len() - 1].1))
    }

    /// What has been formed, in the order of the leaves.
    pub fn into_nodes(mut self) -> Vec<(Node, T)> {
        self.nodes.sort_by_key(|(node, _)| node.index << node.level);
        self.nodes
    }
}

/// The nodes that the leaves of `range` sum up to in a tree over `shards`, in the order of the leaves.
pub fn nodes_of(range: Range<usize>, shards: usize) -> Vec<Node> {
    let mut sums = Sums::new(shards);
    for shard in range {
        let Ok(_) = sums.insert(Node::leaf(shard), (), |(), ()| Ok::<_, std::convert::Infallible>(()));
    }
    sums.into_nodes().into_iter().map(|(node, ())| node).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(a: String, b: String) -> Result<String, ()> {
        Ok(format!("({a}+{b})"))
    }

    /// The sum of all leaves as an expression, formed by `parts` processes one after another.
    fn expression(shards: usize, parts: usize) -> String {
        let mut whole = Sums::new(shards);
        for part in 0..parts {
            let range = part * shards / parts..(part + 1) * shards / parts;
            let mut own = Sums::new(shards);
            for shard in range.clone() {
                own.insert(Node::leaf(shard), shard.to_string(), add).unwrap();
            }
            let nodes = own.into_nodes();
            assert!(nodes.iter().map(|(node, _)| *node).eq(nodes_of(range, shards)));
            for (node, value) in nodes {
                whole.insert(node, value, add).unwrap();
            }
        }
        let [(node, sum)] = &whole.into_nodes()[..] else { panic!("one sum is left") };
        assert!(node.is_root(shards) && *node == Node::root(shards));
        sum.clone()
    }

    #[test]
    fn the_tree_is_the_documented_one() {
        assert_eq!(expression(1, 1), "0");
        assert_eq!(expression(4, 1), "((0+1)+(2+3))");
        assert_eq!(expression(6, 1), "(((0+1)+(2+3))+(4+5))");
        assert_eq!(expression(7, 1), "(((0+1)+(2+3))+((4+5)+6))");
    }

    /// The same from the root downwards.
    fn expression_of(node: Node, shards: usize) -> String {
        match node.children(shards) {
            None => node.index.to_string(),
            Some((left, None)) => expression_of(left, shards),
            Some((left, Some(right))) => format!("({}+{})", expression_of(left, shards), expression_of(right, shards)),
        }
    }

    #[test]
    fn the_tree_is_the_same_downwards() {
        (1..=17).for_each(|shards| assert_eq!(expression_of(Node::root(shards), shards), expression(shards, 1)));
    }

    #[test]
    fn sums_do_not_depend_on_who_forms_them() {
        for shards in 1..=17 {
            let expected = expression(shards, 1);
            for parts in (1..=shards).filter(|parts| shards % parts == 0) {
                // The siblings of a pair may come in either order; a sum of two floats is the same in both.
                assert_eq!(sorted(&expression(shards, parts)), sorted(&expected), "{shards} by {parts}");
            }
        }
    }

    /// An expression with the two sides of every sum in the order of their text.
    fn sorted(expression: &str) -> String {
        let Some(inner) = expression.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) else {
            return expression.into();
        };
        let mut depth = 0;
        for (place, letter) in inner.char_indices() {
            match letter {
                '(' => depth += 1,
                ')' => depth -= 1,
                '+' if depth == 0 => {
                    let mut sides = [sorted(&inner[..place]), sorted(&inner[place + 1..])];
                    sides.sort();
                    return format!("({}+{})", sides[0], sides[1]);
                }
                _ => {}
            }
        }
        expression.into()
    }
}
