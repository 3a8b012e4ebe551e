import Glibc

/// What an archive asks of the file system: that a file is there whole, or not at all, whenever the process ends.
enum Files {
  static let temporaryEnding = ".tmp"

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  static func isFolder(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// The names in a folder, sorted.
  static func names(in folder: String) throws(EventFileError) -> [String] {
    guard let stream = opendir(folder) else { throw failure(folder, "cannot be listed", errno) }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: &entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Makes a folder, and those that it is in.
  static func makeFolder(_ path: String) throws(EventFileError) {
    if isFolder(path) || path.isEmpty { return }
    let parent = path.lastIndex(of: "/").map { String(path[..<$0]) }
    if let parent { try makeFolder(parent) }
    guard mkdir(path, 0o777) == 0 || errno == EEXIST else { throw failure(path, "cannot be made", errno) }
    // Else a crash of the machine takes the folder, with all that is in it.
    try sync(parent.map { $0.isEmpty ? "/" : $0 } ?? ".")
  }

  /// Moves a file that is on the disk to its name.
  static func publish(_ path: String) throws(EventFileError) {
    guard rename(path + temporaryEnding, path) == 0 else { throw failure(path, "cannot be renamed", errno) }
    try sync(path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".")
  }

  static func remove(_ path: String) throws(EventFileError) {
    guard unlink(path) == 0 || errno == ENOENT else { throw failure(path, "cannot be removed", errno) }
  }

  private static func sync(_ folder: String) throws(EventFileError) {
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure(folder, "cannot be opened", errno) }
    defer { _ = close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure(folder, "cannot be written to the disk", errno) }
  }

  static func failure(_ path: String, _ problem: String, _ code: Int32) -> EventFileError {
    EventFileError(
      path: path, problem: "\(problem): \(String(cString: strerror(code)))",
      remedy: "check the folder's rights and the disk's free space", isMistake: false)
  }
}

/// A file under a temporary name until `publish`.
struct NewFile: ~Copyable {
  let path: String
  private let descriptor: Int32

  init(path: String) throws(EventFileError) {
    self.path = path
    descriptor = open(path + Files.temporaryEnding, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw Files.failure(path, "cannot be created", errno) }
  }

  deinit { _ = close(descriptor) }

  func write(_ bytes: UnsafeRawBufferPointer) throws(EventFileError) {
    var rest = bytes
    while !rest.isEmpty {
      let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw Files.failure(path, "cannot be written", errno) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }

  /// Gives the file its name, once its bytes are on the disk.
  consuming func publish() throws(EventFileError) {
    guard fsync(descriptor) == 0 else { throw Files.failure(path, "cannot be written to the disk", errno) }
    try Files.publish(path)
  }
}

/// A folder that one process at a time may write to; the lock ends with the process.
struct FolderLock: ~Copyable {
  private let descriptor: Int32

  init(_ folder: String) throws(EventFileError) {
    descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Files.failure(folder, "cannot be opened", errno) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw EventFileError(
        path: folder, problem: "another process writes to this archive",
        remedy: "stop it, or write to another folder", isMistake: false)
    }
  }

  deinit { _ = close(descriptor) }
}
