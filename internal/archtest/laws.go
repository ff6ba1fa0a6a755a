package archtest

// laws are what the rules hold the code to.
type laws struct {
	imports   []row
	pure      []purity
	funcLines int      // longest function, from its func line to its closing brace
	fileLines int      // longest file
	names     []string // refused as a package's name and as any part of its path
}

// row says what one package may import of this module. Packages are named by
// their path below the module.
type row struct {
	pkg     string
	imports []string // sorted
	tests   []string // what its tests may import besides that and the package itself; sorted
}

// purity says how pure a package is: no clock, goroutine, channel, lock or I/O
// in any case.
type purity struct {
	pkg     string
	stdOnly bool     // imports the standard library only
	io      []string // names it may use of package io; nil refuses the import
}

// shoal is the law of this repository. Its import table stands in
// ARCHITECTURE.md as well; TestImportTableIsDocumented compares the two.
var shoal = laws{
	imports: []row{
		{"cdnfallback", []string{"merkle"}, []string{"cdnfallback/origintest"}},
		{"cdnfallback/origintest", []string{"cdnfallback", "merkle"}, nil},
		{"cdnfallback/policy", nil, nil},
		{"cmd/shoal", []string{"merkle", "node"}, []string{"cdnfallback/origintest"}},
		{"dht", []string{"merkle"}, []string{"dht/dhttest", "internal/testnet"}},
		{"dht/dhttest", []string{"dht", "merkle"}, nil},
		{"exchange", []string{"exchange/ledger", "exchange/pb", "exchange/upload", "internal/route", "merkle"}, []string{"internal/testnet"}},
		{"exchange/ledger", nil, nil},
		{"exchange/pb", nil, nil},
		{"exchange/peers", nil, nil},
		{"exchange/pick", nil, nil},
		{"exchange/upload", []string{"exchange/ledger"}, nil},
		{"internal/archtest", nil, nil},
		{"internal/freerider", []string{"exchange", "merkle"}, nil},
		{"internal/hostile", []string{"dht", "exchange", "merkle", "store"}, nil},
		{"internal/labwatch", nil, nil},
		{"internal/natprobe", []string{"cdnfallback/origintest"}, nil},
		{"internal/route", nil, nil},
		{"internal/sim", []string{"cdnfallback/policy", "exchange/ledger", "exchange/pick", "exchange/upload"}, nil},
		{"internal/sim/swarmsim", []string{"cdnfallback/policy", "exchange/pick", "internal/sim"}, nil},
		{"internal/stranger", nil, nil},
		{"internal/testnet", nil, nil},
		{"merkle", nil, nil},
		{"node",
			[]string{"cdnfallback", "cdnfallback/policy", "dht", "exchange", "exchange/ledger", "exchange/peers", "exchange/pick", "internal/route", "merkle", "probe", "probe/nat", "reach", "store", "swarm", "swarm/membership"},
			[]string{"cdnfallback/origintest", "dht/dhttest", "internal/testnet", "store/storetest"}},
		{"probe", []string{"internal/route", "probe/nat"}, []string{"internal/testnet"}},
		{"probe/nat", nil, nil},
		{"reach", []string{"internal/route", "reach/plan"}, []string{"internal/testnet"}},
		{"reach/plan", nil, nil},
		{"store", []string{"merkle"}, []string{"store/storetest"}},
		{"store/storetest", []string{"merkle", "store"}, nil},
		{"swarm", []string{"swarm/membership"}, []string{"internal/testnet"}},
		{"swarm/membership", nil, nil},
	},
	pure: []purity{
		{"cdnfallback/policy", true, nil},
		{"exchange/ledger", true, nil},
		{"exchange/peers", true, nil},
		{"exchange/pick", true, nil},
		{"exchange/upload", false, nil},
		{"merkle", false, []string{"ByteReader", "EOF", "ErrUnexpectedEOF", "LimitReader", "ReadFull", "Reader"}},
		{"probe/nat", true, nil},
		{"reach/plan", true, nil},
		{"swarm/membership", false, nil},
	},
	funcLines: 80,
	fileLines: 500,
	names:     []string{"common", "helpers", "mock", "mocks", "pkg", "types", "util", "utils"},
}

// row returns the row of pkg.
func (l laws) row(pkg string) (row, bool) {
	for _, r := range l.imports {
		if r.pkg == pkg {
			return r, true
		}
	}
	return row{}, false
}
