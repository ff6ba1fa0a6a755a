# The chart of how a crowd grows; sourced, not run.

# chart_growth FILE: the seconds of the last peer over the size of the crowd, both
# by powers of two, from the array at (SYSTEM.N).
chart_growth() {
	local key
	for key in "${!at[@]}"; do
		echo "${key%.*} ${key#*.} ${at[$key]}"
	done | sort -k1,1 -k2,2n | awk '
		function x(n) { return 60 + 96 * log(n) / log(2) }
		function y(t) { return 300 - 60 * log(t / 8) / log(2) }
		BEGIN {
			colour["shoal"] = "#0a6"; colour["torrent"] = "#c60"; colour["curl"] = "#668"
			label["shoal"] = "shoal"; label["torrent"] = "libtorrent"; label["curl"] = "curl from one server"
			print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 720 360\" font-family=\"sans-serif\" font-size=\"13\">"
			print "<rect width=\"720\" height=\"360\" fill=\"white\"/>"
			print "<text x=\"60\" y=\"24\">seconds until the last of N downloaders has 32 MiB, everyone 20 Mbit/s up and down</text>"
			for (n = 1; n <= 32; n *= 2) printf "<text x=\"%.0f\" y=\"322\" text-anchor=\"middle\">%d</text>\n", x(n), n
			for (t = 8; t <= 128; t *= 2) {
				printf "<path d=\"M60 %.0fH540\" stroke=\"#ddd\"/>", y(t)
				printf "<text x=\"50\" y=\"%.0f\" text-anchor=\"end\">%d</text>\n", y(t) + 4, t
			}
			print "<text x=\"300\" y=\"346\" text-anchor=\"middle\">downloaders</text>"
		}
		{
			path[$1] = path[$1] (path[$1] == "" ? "M" : "L") sprintf("%.1f %.1f", x($2), y($3))
			dots = dots sprintf("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>%s, %d: %.1f s</title></circle>\n", x($2), y($3), colour[$1], label[$1], $2, $3)
			lastx[$1] = x($2); lasty[$1] = y($3); lastt[$1] = $3
		}
		END {
			for (s in path) {
				printf "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path[s], colour[s]
				printf "<text x=\"%.1f\" y=\"%.1f\" fill=\"%s\">%s, %.1f s</text>\n", lastx[s] + 8, lasty[s] + 4, colour[s], label[s], lastt[s]
			}
			printf "%s</svg>\n", dots
		}' >"$1"
}
