package cdnfallback_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"

	"github.com/shoal-p2p/shoal/cdnfallback"
	"github.com/shoal-p2p/shoal/cdnfallback/origintest"
)

func Example() {
	site := origintest.New()
	site.Text("/v2/hello world.txt", "Hello, swarm!")
	server := httptest.NewServer(site)
	defer server.Close()

	origin, err := cdnfallback.New(cdnfallback.Config{URL: server.URL + "/v2/", Named: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer origin.Close()

	// The size of the file comes from its verified tree.
	body, err := origin.Range(context.Background(), "hello world.txt", 7, 5, cdnfallback.Validator{Size: 13})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	fmt.Printf("%s %v\n", b, err)
	// Output: swarm <nil>
}
