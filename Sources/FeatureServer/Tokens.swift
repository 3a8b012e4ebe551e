import FeatureCore
import Foundation
import Logging
import Synchronization

/// Who may ask for what: bearer tokens from a file that is read again when it changes.
///
/// A line is a token and its scopes: `s3cret read:ranker,metrics`. `read` is every service and view, `read:NAME` one service
/// or view, `predictions` and `predictions:NAME` let write to every source that takes them or to one; `registry` and
/// `metrics` are what they say, `*` is everything. Lines that begin with `#` are for people.
public final class Tokens: Sendable {
  private struct Entry {
    var token: [UInt8]
    var scopes: Set<String>
  }

  private struct State {
    var entries: [Entry] = []
    var stamp: Stamp?
    var problem: String?
  }

  /// What changes with a file's content.
  private struct Stamp: Equatable {
    var seconds: Int
    var nanoseconds: Int
    var inode: UInt
    var size: Int64
  }

  /// Why a tokens file can't be used.
  public struct Failure: Error, CustomStringConvertible {
    /// Where and why. It never repeats a token.
    public let description: String
  }

  private let path: String
  private let state = Mutex(State())

  /// Shorter ones are guessed.
  static let tokenBytesMin = 16
  private static let kinds = ["read", "predictions", "registry", "metrics", "*"]

  /// Reads a file.
  public init(path: String) throws(Failure) {
    self.path = path
    let (entries, stamp) = try Self.read(path)
    state.withLock { state in
      state.entries = entries
      state.stamp = stamp
    }
  }

  /// Reads the file again if it has changed. A file that can't be used changes nothing.
  func refresh(_ logger: Logger) {
    let stamp = Self.stamp(path)
    guard state.withLock({ $0.stamp != stamp }) else { return }
    do throws(Failure) {
      let (entries, stamp) = try Self.read(path)
      state.withLock { state in
        state.entries = entries
        state.stamp = stamp
        state.problem = nil
      }
      logger.notice("tokens were read again", metadata: ["tokens": "\(entries.count)"])
    } catch {
      let isNew = state.withLock { state in
        defer { state.problem = error.description }
        return state.problem != error.description
      }
      if isNew { logger.error("the former tokens hold on", metadata: ["error": "\(error)"]) }
    }
  }

  /// Refuses a request whose `Authorization` doesn't have one of some scopes.
  func check(_ authorization: String?, _ scopes: [String]) throws(Problem) {
    guard let authorization, authorization.lowercased().hasPrefix("bearer ") else {
      throw Problem(.unauthorized, "a bearer token is needed: send the header Authorization: Bearer TOKEN")
    }
    let given = Array(authorization.dropFirst("bearer ".count).trimmingCharacters(in: .whitespaces).utf8)
    // Every token is compared whole, so that the time tells nothing.
    var found: Set<String>?
    for entry in state.withLock({ $0.entries }) where Self.isEqual(entry.token, given) {
      found = entry.scopes
    }
    guard let found else { throw Problem(.unauthorized, "the token is not known") }
    guard found.contains("*") || !found.isDisjoint(with: scopes) else {
      throw Problem(.forbidden, "the token lacks the scope \(scopes.joined(separator: " or "))")
    }
  }

  private static func isEqual(_ lhs: [UInt8], _ rhs: [UInt8]) -> Bool {
    var difference = UInt8(lhs.count == rhs.count ? 0 : 1)
    for index in lhs.indices { difference |= lhs[index] ^ (index < rhs.count ? rhs[index] : 0) }
    return difference == 0
  }

  private static func stamp(_ path: String) -> Stamp? {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    return Stamp(
      seconds: status.st_mtim.tv_sec, nanoseconds: status.st_mtim.tv_nsec, inode: UInt(status.st_ino),
      size: Int64(status.st_size))
  }

  private static func read(_ path: String) throws(Failure) -> ([Entry], Stamp?) {
    let stamp = stamp(path)
    guard let data = FileManager.default.contents(atPath: path),
      let text = String(validating: data, as: UTF8.self)
    else { throw Failure(description: "\(path): the file is missing, or can't be read as UTF-8") }
    var entries: [Entry] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let words = line.split(whereSeparator: \.isWhitespace)
      guard let token = words.first, !token.hasPrefix("#") else { continue }
      func fail(_ message: String) -> Failure {
        Failure(description: "\(path):\(index + 1): \(message)")
      }
      guard token.utf8.count >= tokenBytesMin else {
        throw fail("a token needs \(tokenBytesMin) characters or more, such as of: openssl rand -hex 24")
      }
      guard words.count == 2 else { throw fail("write a token and its scopes: TOKEN read,registry") }
      var scopes: Set<String> = []
      for scope in words[1].split(separator: ",") {
        guard kinds.contains(String(scope)) || scope.hasPrefix("read:") || scope.hasPrefix("predictions:")
        else {
          let meant =
            Suggestion.didYouMean(String(scope), among: kinds)
            ?? "there are read, read:NAME, predictions, predictions:NAME, registry, metrics and *"
          throw fail("there is no scope '\(scope)'; \(meant)")
        }
        scopes.insert(String(scope))
      }
      entries.append(Entry(token: Array(token.utf8), scopes: scopes))
    }
    guard !entries.isEmpty else { throw Failure(description: "\(path): there is no token in the file") }
    return (entries, stamp)
  }
}
