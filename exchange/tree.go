package exchange

import (
	"context"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/exchange/pb"
	"github.com/shoal-p2p/shoal/merkle"
)

// treeAsk is a tree request of an owner.
type treeAsk struct {
	root *Root
	part TreePart
	max  int
}

// AskTree asks s for the blocks at and below node, depth-first, from the
// skip-th on, at most max (0: as many as fit a reply). The answer is a TreePart.
// A peer is asked treeQueue requests at a time, the rest wait here.
func (r *Root) AskTree(s *Session, node cid.Cid, skip, max int) {
	s.mu.Lock()
	if s.ended == nil {
		s.later = append(s.later, treeAsk{r, TreePart{From: s, Node: node, Skip: skip}, max})
	}
	m := s.nextTree()
	s.mu.Unlock()
	if m != nil {
		s.post(m)
	}
}

// nextTree is the tree request to send now, nil if none may go. mu is held.
func (s *Session) nextTree() *pb.Message {
	if len(s.asked) >= treeQueue || len(s.later) == 0 {
		return nil
	}
	s.treeID++
	ask := s.later[0]
	s.later = s.later[1:]
	s.asked[s.treeID] = ask
	return &pb.Message{Body: &pb.Message_TreeRequest{TreeRequest: &pb.TreeRequest{
		Id: s.treeID, Node: ask.part.Node.Bytes(), Skip: uint32(ask.part.Skip), MaxBlocks: uint32(ask.max),
	}}}
}

// forgetTrees drops the requests of r that wait here. mu is held.
func (s *Session) forgetTrees(r *Root) {
	s.later = slices.DeleteFunc(s.later, func(a treeAsk) bool { return a.root == r })
}

func (s *Session) onTreeRequest(q *pb.TreeRequest) error {
	if _, err := castCID(q.GetNode()); err != nil {
		return err
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
	next := s.nextTree()
	s.mu.Unlock()
	if next != nil {
		s.post(next)
	}
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
		nodes = x.treeOf(ctx, node)
	}
	size := 0
	for i := int(q.Skip); i < len(nodes); i++ {
		if size >= maxTree || len(out.Blocks) >= maxNodes || (q.MaxBlocks > 0 && len(out.Blocks) >= int(q.MaxBlocks)) {
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
func (x *Exchange) treeOf(ctx context.Context, node cid.Cid) []cid.Cid {
	x.mu.Lock()
	r := x.roots[node.KeyString()]
	x.mu.Unlock()
	if r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.tree) > 0 {
			return r.tree
		}
	}
	held, _ := x.cfg.Library.Held(ctx, node)
	return held.Tree
}
