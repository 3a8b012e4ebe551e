import Foundation
import Testing

extension Journeys {
  /// `plumb capture` of a real PostgreSQL.
  @Suite(.enabled(if: Postgres.programs != nil, "there is no PostgreSQL: install postgresql-15"))
  struct CaptureTests {}
}

private enum Postgres {
  /// The folder of the newest server's programs, as Debian installs it.
  static let programs: String? = {
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib/postgresql")) ?? []
    return versions.compactMap(Int.init).max().map { "/usr/lib/postgresql/\($0)/bin" }
  }()
}

extension Journeys.CaptureTests {
  /// Random transactions of four sessions while capture, broker and PostgreSQL are killed: each key's records are what
  /// triggers remembered, in order.
  @Test func killsLoseAndRepeatNothing() throws {
    let seed = Integration.seed()
    let programs = try #require(Postgres.programs)
    let result = try Python.run([
      "\(Python.scripts)/capture_chaos.py", Site.binary, programs, "\(seed % 1_000_000)", "15",
    ])
    #expect(result.status == 0, "\(result.output)")
  }

  /// What is missing, lost or too large: named with what to do, or put right, with no change twice and none left out.
  @Test func whatIsMissingLostOrTooLargeIsAsSaid() throws {
    let programs = try #require(Postgres.programs)
    let result = try Python.run(["\(Python.scripts)/capture_faults.py", Site.binary, programs])
    #expect(result.status == 0, "\(result.output)")
  }
}

extension Journeys {
  /// `plumb capture` of what has no log of changes.
  @Suite struct ComparedCaptureTests {
    /// An SQLite table and two files change while capture and broker are killed: the topics come to what they are, and no
    /// version of a row is there twice.
    @Test func killsLoseAndRepeatNothing() throws {
      let seed = Integration.seed()
      let result = try Python.run([
        "\(Python.scripts)/capture_diff_chaos.py", Site.binary, "\(seed % 1_000_000)", "15",
      ])
      #expect(result.status == 0, "\(result.output)")
    }
  }
}
