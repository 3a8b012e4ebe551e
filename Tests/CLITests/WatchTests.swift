import Testing

/// `plumb watch` on terminals of several kinds.
@Suite struct WatchTests {
  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(
      """
      name: shop
      sources:
        clicks:
          topic: clicks
          timestamp: { field: ts, unit: ms }
          fields: { country: string, city: string }
      views:
        places:
          source: clicks
          entity: [country, city]
          features: { clicks: { aggregate: count, windows: 1h } }
      """, to: "shop.yaml")
  }

  @Test func nothingAnswersIsAnError() throws {
    // Nobody listens on port 1. Blanks in a value are no mistake; what is no column is.
    let result = try work.plumb(
      "watch", "-d", "shop.yaml", "--metrics", "127.0.0.1:1", "--for", "1s", "--redis", "redis://127.0.0.1:1",
      "--entity", "places country=US city=New  York")
    #expect(result.status == 1, "\(result)")
    #expect(
      result.error.hasPrefix(
        "plumb: no instance answers at 127.0.0.1:1: start the service, or name its metrics address with --metrics; and "
      ), "\(result)")
    let wrong = try work.plumb("watch", "-d", "shop.yaml", "--entity", "places citi=New York country=US")
    #expect(wrong.status == 64 && wrong.error.contains("'city' is missing"), "\(wrong)")
  }

  /// What a terminal is sent: a screen of its own, with colours unless they are unwanted; lines where it can't move.
  @Test func terminalsAreTreatedAsTheyAre() throws {
    try work.write("plumb_ready 1\nplumb_records_consumed_total 7\n", to: "metrics")
    try work.write(
      """
      import http.server, threading
      server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
      open("port.new", "w").write(str(server.server_port))
      import os
      os.rename("port.new", "port")
      threading.Timer(120, lambda: os._exit(0)).start()
      server.serve_forever()
      """, to: "serve.py")
    let result = try work.shell(
      """
      python3 serve.py 2> /dev/null & server=$!
      while [[ ! -e port ]]; do sleep 0.05; done
      export WATCH="$PLUMB watch -d shop.yaml --metrics 127.0.0.1:$(cat port) --for 1s"
      unset NO_COLOR
      TERM=xterm script -qec "$WATCH" /dev/null > colours < /dev/null
      TERM=xterm NO_COLOR=1 script -qec "$WATCH" /dev/null > plain < /dev/null
      TERM=dumb script -qec "$WATCH" /dev/null > dumb < /dev/null
      kill $server
      """)
    let (colours, plain, dumb) = try (work.read("colours"), work.read("plain"), work.read("dumb"))
    #expect(colours.contains("\u{1B}[?1049h") && colours.contains("\u{1B}[?1049l\u{1B}[?25h"), "\(result)")
    #expect(colours.contains("\u{1B}[1m") && colours.contains("1 of 1 ready"))
    #expect(plain.contains("\u{1B}[?1049h") && !plain.contains("\u{1B}[1m") && !plain.contains("\u{1B}[2m"))
    #expect(!dumb.contains("\u{1B}") && dumb.contains("1 of 1 ready") && dumb.contains("7 read"))
  }
}
