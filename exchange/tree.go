package exchange

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// AskTree asks s for the blocks at and below node, depth-first, from the
// skip-th on, at most max (0: as many as fit a reply). The answer is a TreePart.
func (r *Root) AskTree(s *Session, node cid.Cid, skip, max int) {
	s.mu.Lock()
	if s.ended != nil || len(s.asked) >= treeQueue {
		s.mu.Unlock()
		return
	}
	s.treeID++
	id := s.treeID
	s.asked[id] = treeAsk{root: r, part: TreePart{From: s, Node: node, Skip: skip}}
	s.mu.Unlock()
	s.post(&pb.Message{Body: &pb.Message_TreeRequest{TreeRequest: &pb.TreeRequest{
		Id: id, Node: node.Bytes(), Skip: uint32(skip), MaxBlocks: uint32(max),
	}}})
}

func (s *Session) onTreeRequest(q *pb.TreeRequest) error {
	if _, err := cid.Cast(q.GetNode()); err != nil {
		return fmt.Errorf("%w: tree node: %w", errProtocol, err)
	}
	select {
	case s.trees <- q:
		return nil
	default:
		return fmt.Errorf("%w: more than %d tree requests at once", errProtocol, treeQueue)
	}
}

func (s *Session) onTreeReply(p *pb.TreeReply) {
	s.mu.Lock()
	ask, ok := s.asked[p.GetId()]
	delete(s.asked, p.GetId())
	s.mu.Unlock()
	if !ok {
		return
	}
	part := ask.part
	part.Blocks, part.More, part.Missing = p.Blocks, p.More, p.Missing
	ask.root.deliver(part)
}

// treeReply collects the blocks at and below a node, up to maxTree bytes.
func (x *Exchange) treeReply(ctx context.Context, q *pb.TreeRequest) *pb.TreeReply {
	out := &pb.TreeReply{Id: q.Id}
	node, err := cid.Cast(q.Node)
	if err != nil {
		out.Missing = true
		return out
	}
	nodes := []cid.Cid{node}
	if q.MaxBlocks != 1 || q.Skip != 0 {
		nodes = x.treeOf(node)
	}
	size := 0
	for i := int(q.Skip); i < len(nodes); i++ {
		if size >= maxTree || (q.MaxBlocks > 0 && len(out.Blocks) >= int(q.MaxBlocks)) {
			out.More = true
			break
		}
		b, err := x.cfg.Library.Block(ctx, nodes[i])
		if err != nil || len(b) > merkle.MaxBlock {
			out.Missing = len(out.Blocks) == 0
			break
		}
		out.Blocks = append(out.Blocks, b)
		size += len(b)
	}
	out.Missing = out.Missing || len(nodes) == 0
	return out
}

// treeOf lists the interior blocks at and below node.
func (x *Exchange) treeOf(node cid.Cid) []cid.Cid {
	r := x.root(node)
	if r == nil {
		return nil
	}
	defer x.drop(r) // unless somebody has it open
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tree
}
