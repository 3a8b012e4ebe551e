import Testing

@Suite struct GenerateTests {
  let work: Workspace

  init() throws { work = try Workspace() }

  @Test func optionsDecideEveryByte() throws {
    let lines = try work.done("generate", "--events", "2000", "--seed", "7")
    #expect(lines.split(separator: "\n", omittingEmptySubsequences: false).count == 2001)
    #expect(try work.done("generate", "--seed", "7", "--events", "2000", "--out", "file") == "")
    #expect(try work.read("file") == lines)
    #expect(try work.done("generate", "--events", "2000", "--seed", "8") != lines)
    #expect(try work.done("generate", "--events", "0") == "")
  }

  /// The rate changes when lines come, not what they say.
  @Test func rateChangesNoByte() throws {
    let clock = ContinuousClock()
    var paced = ""
    let elapsed = try clock.measure { paced = try work.done("generate", "--events", "300", "--rate", "1000") }
    #expect(try work.done("generate", "--events", "300") == paced)
    // 29 steps of a hundredth of a second lie before the last ten lines.
    #expect(elapsed > .milliseconds(280))
  }

  /// The first run makes the shop's tables, and each one after changes some of their rows; the seed decides which.
  @Test func databasesChangeByGenerations() throws {
    func generate(_ name: String, _ seed: String = "3") throws -> String {
      let result = try work.plumb(
        "generate", "--database", name, "--seed", seed, "--users", "2000", "--items", "500")
      #expect(result.status == 0 && result.output == "", "\(result)")
      return result.error
    }
    func dump(_ name: String) throws -> [Substring] {
      let result = try work.shell(
        "python3 -c \"import sqlite3; c = sqlite3.connect('\(name)'); print(*[r for t in ('users', 'items') for r in c.execute("
          + "f'select * from {t} order by 1')], sep='\\n')\"")
      #expect(result.status == 0, "\(result)")
      return result.output.split(separator: "\n")
    }
    #expect(try generate("a.db") == "a.db: generation 0 made 2000 users and 500 items\n")
    let first = try dump("a.db")
    #expect(first.count == 2500)
    #expect(try generate("a.db").hasPrefix("a.db: generation 1 changed "))
    let second = try dump("a.db")
    let (gone, new) = (Set(first).subtracting(second).count, Set(second).subtracting(first).count)
    #expect((20...120).contains(gone) && (20...120).contains(new) && gone > new, "\(gone) \(new)")
    for _ in 0..<2 { _ = try generate("b.db") }
    #expect(try dump("b.db") == second)
    for _ in 0..<2 { _ = try generate("c.db", "4") }
    #expect(try dump("c.db") != second)
    let wrong = try work.plumb("generate", "--database", "no/folder/x.db")
    #expect(
      wrong.status == 1 && wrong.error.contains("opening the SQLite database no/folder/x.db: unable to open"))
    #expect(try work.plumb("generate", "--database", "x.db", "--live").status == 64)
  }

  @Test func readersMayLeave() throws {
    let result = try work.shell("set -o pipefail; \"$PLUMB\" generate | head -n 1 | wc -l")
    #expect(result.status == 0)
    #expect(result.output == "1\n")
    #expect(result.error == "")
  }

  @Test func aMisspeltCommandIsNamed() throws {
    let result = try work.plumb("chek", "-d", "shop.yaml")
    #expect(result.status == 64)
    #expect(result.error.hasPrefix("plumb: there is no command 'chek'; did you mean 'check'?"))
    #expect(try work.plumb("zzz").error.hasPrefix("plumb: there is no command 'zzz'; there are check, "))
    #expect(try work.plumb("help", "check").status == 0)
    #expect(try work.plumb("--version").status == 0)
  }

  /// As on a full disk: nothing is left that looks like a whole file.
  @Test func noFileIsLeftHalfWritten() throws {
    let result = try work.shell(
      "trap '' XFSZ; ulimit -f 512; \"$PLUMB\" generate --events 100000 --out part; ls")
    #expect(
      result.error.contains("part: cannot be written: File too large; what was written is removed"),
      "\(result)")
    #expect(!result.output.contains("part"))
    let full = try work.plumb("generate", "--events", "100000", "--out", "/dev/full")
    #expect(full.status == 1 && full.error.contains("No space left on device"))
    #expect(try work.shell("test -c /dev/full").status == 0)
  }

  @Test(arguments: [
    ("--events", "-1"), ("--rate", "0"), ("--rate", "-5"), ("--rate", "nan"), ("--rate", "inf"),
    ("--rate", "1e-9"), ("--users", "0"), ("--late", "1.5"), ("--density", "nan"),
    ("--start", "99999999999999"),
    ("--seed", "x"), ("--out", ""),
  ])
  func optionsThatMeanNothing(_ option: String, _ value: String) throws {
    let result = try work.plumb("generate", "--events", "2", option, value)
    #expect(result.status == 64, "\(result.error)")
    #expect(result.output == "")
  }

  @Test(arguments: [
    ["--live"], ["--live", "--rate", "5"], ["--live", "--topic", "t"], ["--topic", "t", "--out", "f"],
    ["--live", "--topic", "t", "--rate", "5", "--start", "0"], ["--shift", "5"],
    ["--shown", "f", "--catalogue"], ["--shown", "f", "--density", "3"], ["--shown", "f", "--shift", "-1"],
  ])
  func optionsThatClash(_ options: [String]) throws {
    let result = try work.run(Workspace.binary, ["generate", "--events", "2"] + options)
    #expect(result.status == 64, "\(result.error)")
  }

  /// What is shown comes back as impressions, with clicks; the lines may have more members than the needed ones.
  @Test func clicksFollowWhatIsShown() throws {
    let shown = (1...2000).map { number in
      #"{"score":0.5,"ts":\#(1_767_225_600_000 + number * 10),"item_id":"i\#(number % 20 + 1)","user_id":"u\#(number % 7 + 1)"}"#
    }
    try work.write(shown.joined(separator: "\n") + "\n\n", to: "shown")
    let lines = try work.done("generate", "--shown", "shown", "--users", "7", "--items", "20")
    #expect(lines.split(separator: "\n").count { $0.contains(#""event_type":"impression""#) } == 2000)
    let clicks = lines.split(separator: "\n").count { $0.contains(#""event_type":"click""#) }
    #expect((20...800).contains(clicks))
    let piped = try work.shell(
      "\"$PLUMB\" generate --shown - --users 7 --items 20 --out file < shown && cat file")
    #expect(piped.output == lines)
    let items = try work.done("generate", "--catalogue", "--items", "20").split(separator: "\n")
    #expect(items.count == 20)
    #expect(items[0].hasPrefix(#"{"item_id":"i1","ts":1767225600000,"category":"c"#))
  }

  @Test(arguments: [
    (
      #"{"user_id":"u9","item_id":"i1","ts":1767225600000}"#,
      "shown:2: 'u9' saw 'i1' at 1767225600000, which isn't of this shop"
    ),
    (#"{"user_id":"u1","item_id":"i1"}"#, "shown:2: is no JSON object with the texts user_id and item_id"),
    ("[", "shown:2: is no JSON object"),
  ])
  func shownThatMeansNothing(_ line: String, _ problem: String) throws {
    let good = #"{"user_id":"u1","item_id":"i1","ts":1767225600000}"#
    try work.write("\(good)\n\(line)\n", to: "shown")
    let result = try work.plumb("generate", "--shown", "shown", "--users", "7", "--items", "20")
    #expect(result.status == 2)
    #expect(result.error.contains(problem), "\(result.error)")
  }

  @Test func placesThatCannotBeWritten() throws {
    for (path, problem) in [
      ("none/file", "No such file or directory"), (".", "Is a directory"),
      ("/dev/full", "No space left on device"),
    ] {
      let result = try work.plumb("generate", "--events", "10", "--out", path)
      #expect(result.status == 1)
      #expect(result.error.hasPrefix("plumb: \(path): cannot be ") && result.error.contains(problem))
    }
  }
}
