import Testing

/// `plumb replay --features-at`.
@Suite struct FeaturesTests {
  let work: Workspace

  init() throws {
    work = try Workspace()
    try work.write(Shop.definitions, to: "d.yaml")
    try work.write(Shop.events, to: "e.ndjson")
  }

  private func replay(_ arguments: String..., input: String = "/dev/null") throws -> Workspace.Result {
    try work.run(Workspace.binary, ["replay", "-d", "d.yaml"] + arguments, input: input)
  }

  @Test func featuresAtTheEnd() throws {
    let result = try replay(
      "--events", "e.ndjson", "--view", "users", "--features-at", "end", "--out", "o.ndjson")
    #expect(result.status == 0)
    #expect(result.error == "3 events, 2 entities, 0 late; no dead letters\n")
    let expected = """
      {"user":"a","clicks_1h":2,"clicks_lifetime":2,"spend_24h":3.5,"items_7d":["x","z"]}
      {"user":"b","clicks_1h":1,"clicks_lifetime":1,"spend_24h":null,"items_7d":["y"]}

      """
    #expect(try work.read("o.ndjson") == expected)
    #expect(try work.names == ["d.yaml", "e.ndjson", "o.ndjson"])
  }

  /// An event at the time itself counts, later ones don't.
  @Test(arguments: [
    "1700000060000", "2023-11-14T22:14:20Z", "2023-11-14T23:14:20.000+01:00",
  ])
  func featuresAtATime(_ time: String) throws {
    let result = try replay(
      "--events", "e.ndjson", "--view", "users", "--features-at", time, "--out", "o.csv")
    #expect(result.status == 0)
    let expected = """
      user,clicks_1h,clicks_lifetime,spend_24h,items_7d
      a,1,1,1.5,"[""x""]"
      b,1,1,,"[""y""]"

      """
    #expect(try work.read("o.csv") == expected)
  }

  @Test(arguments: [
    "yesterday", "", " 1", "0x10", "99999999999999999999", "9999999999999999",
    "2023-11-14T22:13:20", "2023-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "END",
  ])
  func timesThatAreNone(_ time: String) throws {
    let result = try replay("--events", "e.ndjson", "--view", "users", "--features-at", time, "--out", "-")
    #expect(result.status == 64)
    let message =
      "plumb: '\(time)' is no time: write a time with its zone (2026-01-02T03:04:05Z) or a number in the source's"
    #expect(result.error.hasPrefix(message), "\(result.error)")
  }

  @Test func timesBeforeTheEpoch() throws {
    let result = try replay("--events", "e.ndjson", "--view", "users", "--features-at", "-5", "--out", "-")
    #expect(result.status == 0)
    #expect(result.output == "")
    #expect(result.error == "3 events, 0 entities, 0 late; no dead letters\n")
  }

  @Test func standardInputAndOutput() throws {
    let result = try replay(
      "--events", "-", "--view", "pairs", "--features-at", "end", "--format", "csv", "--out", "-",
      input: "e.ndjson")
    #expect(result.status == 0)
    #expect(result.output == "user,n,clicks_1h\na,1,1\nb,2,1\n")
  }

  /// Packed files, and several of them, are one log.
  @Test func packedFiles() throws {
    #expect(
      try work.shell("gzip -k e.ndjson && zstd -q e.ndjson && cat e.ndjson.zst e.ndjson.zst > two").status
        == 0)
    let result = try replay(
      "--events", "e.ndjson", "e.ndjson.gz", "e.ndjson.zst", "--events", "two", "--view", "users",
      "--features-at", "end", "--out", "-")
    #expect(result.status == 0)
    #expect(result.output.hasPrefix(#"{"user":"a","clicks_1h":10,"clicks_lifetime":10,"spend_24h":17.5,"#))
    #expect(result.error == "15 events, 2 entities, 0 late; no dead letters\n")
  }

  @Test func nothingToRead() throws {
    try work.write("", to: "empty")
    for path in ["empty", "/dev/null"] {
      let result = try replay("--events", path, "--view", "users", "--features-at", "end", "--out", "o.csv")
      #expect(result.status == 0)
      #expect(try work.read("o.csv") == "user,clicks_1h,clicks_lifetime,spend_24h,items_7d\n")
    }
  }

  /// No output appears, whole or in part, and what was there before stays.
  @Test func failuresLeaveNoFile() throws {
    try work.write("before", to: "o")
    #expect(
      try work.shell("zstd -q e.ndjson && head -c 60 e.ndjson.zst > cut.zst && rm e.ndjson.zst").status == 0)
    let names = try work.names
    for (path, status, problem) in [
      ("none", 1, "plumb: none: no such file; "), (".", 1, "plumb: .: is a directory; "),
      ("cut.zst", 2, "plumb: cut.zst: truncated zstd frame: the file ends inside it, at byte 60; "),
    ] as [(String, Int32, String)] {
      let result = try replay(
        "--events", "e.ndjson", path, "--view", "users", "--features-at", "end", "--out", "o",
        "--dead-letters",
        "letters")
      #expect(result.status == status)
      #expect(result.error.hasPrefix(problem), "\(result.error)")
      #expect(try work.names == names)
      #expect(try work.read("o") == "before")
    }
  }

  @Test func placesThatCannotBeWritten() throws {
    for path in ["none/o", ".", "/dev/full"] {
      let result = try replay(
        "--events", "e.ndjson", "--view", "users", "--features-at", "end", "--out", path)
      #expect(result.status == 1)
      #expect(result.error.hasPrefix("plumb: \(path): cannot be "), "\(result.error)")
    }
  }

  /// The log is the truth: a slip of the fingers must not replace it.
  @Test func outputsDoNotOverwriteInputs() throws {
    #expect(try work.shell("ln e.ndjson hard && ln -s e.ndjson soft").status == 0)
    for (out, letters) in [
      ("e.ndjson", "l"), ("./e.ndjson", "l"), ("hard", "l"), ("soft", "l"), ("d.yaml", "l"),
      ("o", "e.ndjson"),
      ("o", "o"), ("o", "./o"), ("-", "-"), ("", "l"),
    ] {
      let result = try replay(
        "--events", "e.ndjson", "--view", "users", "--features-at", "end", "--out", out, "--dead-letters",
        letters)
      #expect(result.status == 64, "\(out) \(letters)")
    }
    #expect(try work.read("e.ndjson") == Shop.events)
    let twice = try replay("--events", "-", "-", "--view", "users", "--features-at", "end", "--out", "o")
    #expect(twice.status == 64)
    #expect(twice.error.contains("can be read only once"))
    #expect(try work.names == ["d.yaml", "e.ndjson", "hard", "soft"])
  }

  @Test(arguments: [
    (
      ["--view", "user"],
      "There is no view 'user' of source 'clicks' (did you mean 'users'?). There are: users, pairs."
    ),
    (["--source", "click"], "There is no source 'click' (did you mean 'clicks'?). There are: clicks."),
    ([], "Rows of different views have different columns; choose one with --view: users, pairs."),
  ])
  func selection(_ options: [String], _ message: String) throws {
    let result = try work.run(
      Workspace.binary,
      ["replay", "-d", "d.yaml", "--events", "e.ndjson", "--features-at", "end", "--out", "-"] + options)
    #expect(result.status == 64)
    #expect(result.error == "plumb: \(message)\n")
  }

  @Test func severalSources() throws {
    try work.write(Shop.twoSources, to: "d.yaml")
    try work.write(#"{"at":"2026-01-01T00:00:00Z","user":"u"}"#, to: "orders")
    let common = ["replay", "-d", "d.yaml", "--events", "orders", "--features-at", "end", "--out", "-"]
    let none = try work.run(Workspace.binary, common)
    #expect(none.status == 64)
    #expect(none.error.contains("choose one with --source: clicks, orders, idle"))
    let idle = try work.run(Workspace.binary, common + ["--source", "idle"])
    #expect(idle.status == 64)
    #expect(idle.error == "plumb: No view is about source 'idle'.\n")
    let orders = try work.run(Workspace.binary, common + ["--source", "orders"])
    #expect(orders.status == 0)
    #expect(orders.output == "{\"user\":\"u\",\"orders_1h\":1}\n")
  }

  @Test func exactlyOneMode() throws {
    for mode in [
      [], ["--features-at", "end", "--spine", "e.ndjson"], ["--features-at", "end", "--spine-time", "ts"],
    ] {
      let result = try work.run(
        Workspace.binary,
        ["replay", "-d", "d.yaml", "--events", "e.ndjson", "--view", "users", "--out", "-"] + mode)
      #expect(result.status == 64)
    }
  }
}
