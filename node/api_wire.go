package node

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"

	"github.com/ipfs/go-cid"
	"github.com/shoal-p2p/shoal/merkle"
	"github.com/shoal-p2p/shoal/store"
)

// The API socket speaks HTTP/1.1: POST /v1/VERB with an apiRequest as JSON.
// The answer is a stream of lines, each an apiEvent as JSON; an event with Data
// n is followed by n raw bytes. The last line has End set and the result or the
// error, so a stream that ends without one was cut off. Ending the request
// cancels the work.
const (
	maxAPIRequest = 1 << 20  // bytes of a request
	maxAPILine    = 64 << 20 // bytes of an event; a status with 100,000 roots has about 30 MB
	maxAPIData    = 1 << 20  // raw bytes after one event
	listBatch     = 1000     // entries of ls in one event
)

// apiRequest holds the arguments of every verb; a verb reads those it has.
type apiRequest struct {
	Target merkle.Target `json:"target,omitzero"`
	Root   string        `json:"root,omitempty"`
	Path   string        `json:"path,omitempty"`
	From   int64         `json:"from,omitempty"`
	To     int64         `json:"to,omitempty"`
	Add    AddOptions    `json:"add,omitzero"`
	Fetch  FetchOptions  `json:"fetch,omitzero"`

	Publish PublishOptions `json:"publish,omitzero"`
	Invite  InviteOptions  `json:"invite,omitzero"`
	Doctor  DoctorOptions  `json:"doctor,omitzero"`
	IDs     []string       `json:"ids,omitempty"`
}

// apiEvent is one line of an answer.
type apiEvent struct {
	Progress *Progress       `json:"progress,omitempty"`
	Bytes    *int64          `json:"bytes,omitempty"` // hashed so far, of add
	Skip     *apiSkip        `json:"skip,omitempty"`
	Provider *Provider       `json:"provider,omitempty"`
	Bad      *Bad            `json:"bad,omitempty"`
	Entries  []Entry         `json:"entries,omitempty"`
	Data     int             `json:"data,omitempty"`
	End      bool            `json:"end,omitempty"`
	Result   json.RawMessage `json:"result,omitempty"`
	Error    *apiError       `json:"error,omitempty"`
}

// apiSkip is an entry that add left out.
type apiSkip struct {
	Path string `json:"path"`
	Why  string `json:"why"`
}

// apiHello is what GET /v1/id answers.
type apiHello struct {
	ID string `json:"id"`
}

// apiError carries an error over the socket: its words, the sentinels it is,
// and the fields of the typed ones.
type apiError struct {
	Message string   `json:"message"`
	Kinds   []string `json:"kinds,omitempty"`
	Root    string   `json:"root,omitempty"`
	Where   string   `json:"where,omitempty"`
	Why     string   `json:"why,omitempty"`
	Hint    string   `json:"hint,omitempty"`
	Tried   []string `json:"tried,omitempty"`
	Liars   []string `json:"liars,omitempty"`
}

// The names of the typed errors in apiError.Kinds.
const (
	kindUnavailable  = "unavailable"
	kindVerification = "verification"
	kindManifest     = "manifest"
)

// apiSentinels names the errors that callers branch on with errors.Is.
// TestErrorsKeepTheirType walks it.
var apiSentinels = []struct {
	kind string
	err  error
}{
	{"usage", ErrUsage},
	{"running", ErrRunning},
	{"not-held", store.ErrNotFound},
	{"changed", store.ErrChanged},
	{"exists", store.ErrExists},
	{"locked", store.ErrLocked},
	{"unsafe", store.ErrUnsafe},
	{"busy", store.ErrBusy},
	{"own", store.ErrOwn},
	{"pinned", store.ErrPinned},
	{"not-pinned", store.ErrNotPinned},
	{"offline", ErrOffline},
	{"mismatch", merkle.ErrMismatch},
	{"malformed", merkle.ErrMalformed},
	{"unsupported", merkle.ErrUnsupported},
	{"too-large", merkle.ErrTooLarge},
	{"signature", merkle.ErrSignature},
	{"file-not-exist", fs.ErrNotExist},
	{"file-exist", fs.ErrExist},
	{"permission", fs.ErrPermission},
	{"unexpected-eof", io.ErrUnexpectedEOF},
	{"canceled", context.Canceled},
	{"deadline", context.DeadlineExceeded},
}

// encodeError turns err into its form on the wire.
func encodeError(err error) *apiError {
	e := &apiError{Message: err.Error()}
	if u, ok := errors.AsType[*UnavailableError](err); ok {
		e.Kinds = append(e.Kinds, kindUnavailable)
		e.Root, e.Where, e.Why, e.Hint, e.Tried, e.Liars = rootString(u.Root), u.URL, u.Why, u.Hint, u.Tried, u.Liars
	}
	if v, ok := errors.AsType[*VerificationError](err); ok {
		e.Kinds = append(e.Kinds, kindVerification)
		e.Root, e.Why, e.Liars = rootString(v.Root), v.Why, v.Liars
	}
	if m, ok := errors.AsType[*ManifestError](err); ok {
		e.Kinds = append(e.Kinds, kindManifest)
		e.Where, e.Why, e.Hint = m.Where, m.Why, m.Hint
	}
	for _, s := range apiSentinels {
		if errors.Is(err, s.err) {
			e.Kinds = append(e.Kinds, s.kind)
		}
	}
	return e
}

// decode is the inverse of encodeError as far as errors.Is, errors.As and
// Error can tell.
func (e *apiError) decode() error {
	r := &remoteError{message: e.Message}
	root, err := cid.Decode(e.Root)
	if err != nil {
		root = cid.Undef
	}
	for _, kind := range e.Kinds {
		switch kind {
		case kindUnavailable:
			r.causes = append(r.causes, &UnavailableError{Root: root, URL: e.Where, Why: e.Why, Hint: e.Hint, Tried: e.Tried, Liars: e.Liars})
		case kindVerification:
			r.causes = append(r.causes, &VerificationError{Root: root, Why: e.Why, Liars: e.Liars})
		case kindManifest:
			r.causes = append(r.causes, &ManifestError{Where: e.Where, Why: e.Why, Hint: e.Hint})
		default:
			for _, s := range apiSentinels {
				if s.kind == kind {
					r.causes = append(r.causes, s.err)
				}
			}
		}
	}
	return r
}

// remoteError is an error that happened in the running node.
type remoteError struct {
	message string
	causes  []error
}

func (e *remoteError) Error() string   { return e.message }
func (e *remoteError) Unwrap() []error { return e.causes }

func rootString(c cid.Cid) string {
	if !c.Defined() {
		return ""
	}
	return c.String()
}
