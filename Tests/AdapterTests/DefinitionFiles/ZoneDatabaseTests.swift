import DefinitionFiles
import FeatureCore
import Foundation
import Testing
import TestSupport

private let python = ["/usr/bin/python3", "/usr/local/bin/python3"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}
private let hasZones = ZoneDatabase.rules("Europe/Berlin") != nil

@Suite struct ZoneDatabaseTests {
  /// Moments around every transition of a zone and every 20 days from 1900 to 2100, with Python's offsets.
  private static let script = """
    import sys, zoneinfo, datetime
    zone = zoneinfo.ZoneInfo(sys.argv[1])
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    for line in sys.stdin:
        moment = epoch + datetime.timedelta(seconds=int(line))
        print(int(moment.astimezone(zone).utcoffset().total_seconds()))
    """

  @Test(
    .enabled(if: python != nil && hasZones, "needs python3 and tzdata"),
    arguments: [
      "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC", "Europe/Moscow",
      "Asia/Pyongyang", "Europe/Dublin", "Africa/Casablanca", "America/Sao_Paulo", "Pacific/Apia",
      "America/Nuuk", "Asia/Gaza", "Asia/Tokyo", "EST5EDT", "Etc/GMT+5", "Antarctica/Troll",
    ])
  func agreesWithPython(_ name: String) throws {
    let rules = try #require(ZoneDatabase.rules(name))
    var moments = Array(stride(from: Int64(-2_208_988_800), to: 4_133_980_800, by: 20 * 86_400))
    moments += rules.transitions.flatMap { [$0.atSeconds - 1, $0.atSeconds, $0.atSeconds + 1] }
    let expected = try offsets(name, moments)
    try #require(expected.count == moments.count)
    for (moment, offset) in zip(moments, expected) {
      let found =
        rules.transitions.last { $0.atSeconds <= moment }?.offsetSeconds ?? rules.initialOffsetSeconds
      #expect(found == offset, "\(name) at \(moment)")
    }
  }

  private func offsets(_ name: String, _ moments: [Int64]) throws -> [Int64] {
    let process = Process()
    process.executableURL = URL(filePath: try #require(python))
    process.arguments = ["-c", Self.script, name]
    let input = FileManager.default.temporaryDirectory.appending(path: "zones-\(UUID()).txt")
    try moments.map { "\($0)\n" }.joined().write(to: input, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: input) }
    let output = Pipe()
    process.standardInput = try FileHandle(forReadingFrom: input)
    process.standardOutput = output
    try process.run()
    let data = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return String(decoding: data, as: UTF8.self).split(separator: "\n").compactMap { Int64($0) }
  }

  @Test(.enabled(if: hasZones, "needs tzdata"))
  func changesThatAreNotDaylightSavingAreThere() throws {
    let moscow = try #require(ZoneDatabase.rules("Europe/Moscow")).transitions
    #expect(moscow.contains { $0.atSeconds == 1_301_180_400 && $0.offsetSeconds == 4 * 3600 })
    #expect(moscow.contains { $0.atSeconds == 1_414_274_400 && $0.offsetSeconds == 3 * 3600 })
    #expect(moscow.last?.atSeconds == 1_414_274_400)
    let pyongyang = try #require(ZoneDatabase.rules("Asia/Pyongyang")).transitions
    #expect(pyongyang.suffix(2).map(\.offsetSeconds) == [30_600, 32_400])
  }

  @Test(.enabled(if: hasZones, "needs tzdata"))
  func rulesGoOnTo2100() throws {
    let berlin = try #require(ZoneDatabase.rules("Europe/Berlin"))
    #expect(berlin.transitions.last?.atSeconds == 4_128_627_600)
    #expect(
      zip(berlin.transitions, berlin.transitions.dropFirst()).allSatisfy { $0.atSeconds < $1.atSeconds })
    #expect(
      zip(berlin.transitions, berlin.transitions.dropFirst()).allSatisfy {
        $0.offsetSeconds != $1.offsetSeconds
      })
  }

  @Test(arguments: [
    "", "Europe", "Europe/Berlim", "europe/berlin", "/etc/passwd", "../zoneinfo/Europe/Berlin", "right/UTC",
    "posix/Europe/Berlin", "Europe//Berlin", "Europe/Berlin/", "zone.tab", "tzdata.zi", "Europe/Berlin\u{0}",
    "a b",
  ])
  func otherNamesAreUnknown(_ name: String) {
    #expect(ZoneDatabase.rules(name) == nil)
  }

  @Test func utcNeedsNoDatabase() {
    let nothing = ZoneDatabase(directory: "/nonexistent")
    #expect(nothing.rules("UTC") == .utc)
    #expect(nothing.rules("Europe/Berlin") == nil)
  }

  @Test(.enabled(if: hasZones, "needs tzdata"))
  func damagedFilesAreRefused() throws {
    let path = "\(ZoneDatabase.system.directory)/America/New_York"
    let whole = try #require(FileManager.default.contents(atPath: path))
    let directory = FileManager.default.temporaryDirectory.appending(path: "zones-\(UUID())")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: directory) }
    let database = ZoneDatabase(directory: directory.path)
    for count in stride(from: 0, to: whole.count, by: 7) {
      try whole.prefix(count).write(to: directory.appending(path: "Cut"))
      #expect(database.rules("Cut") == nil)
    }
    try whole.write(to: directory.appending(path: "Whole"))
    #expect(database.rules("Whole")?.transitions == ZoneDatabase.rules("America/New_York")?.transitions)
    let seed = UInt64.random(in: 0 ... .max)
    var random = SplitMix(state: seed)
    for _ in 0..<300 {
      var bytes = [UInt8](whole)
      for _ in 0..<4 {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      try Data(bytes).write(to: directory.appending(path: "Hit"))
      if let rules = database.rules("Hit") {
        let isAscending = zip(rules.transitions, rules.transitions.dropFirst())
          .allSatisfy { $0.atSeconds < $1.atSeconds }
        #expect(isAscending, "seed \(seed)")
      }
    }
  }
}

/// SplitMix64: a seed makes a run reproducible.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
