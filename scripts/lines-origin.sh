# The table of origins has a shape of its own: it is the lab's. Sourced by
# bench.sh, as another table's lines are.
exec scripts/netlab-origin.sh --only "$only" --runs "${runs:-1}" ${shoal:+--shoal "$shoal"}
