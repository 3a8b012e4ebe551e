public import EventFiles
import Processor

/// A folder that `plumb archive` writes to.
public struct TopicArchive: Sendable {
  private let folder: String

  /// Throws if the folder is none.
  public init(folder: String) throws(EventFileError) {
    _ = try ArchivedPartition.topics(folder)
    self.folder = folder
  }

  /// What it has of a partition now; nil if nothing.
  func partition(_ partition: TopicPartition) throws(EventFileError) -> ArchivedPartition? {
    try ArchivedPartition(
      folder: ArchivedPartition.folder(folder, topic: partition.topic, partition: partition.partition))
  }

  /// Throws unless a topic goes on where its archive ends, without a gap.
  static func checkJoint(
    _ folder: String, _ partition: TopicPartition, _ next: Int64, begins: Int64, ends: Int64
  ) throws(EventFileError) {
    if next < begins {
      throw EventFileError(
        path: folder,
        problem:
          "the archive ends before offset \(next), and \(partition) begins at \(begins): the records between "
          + "are gone",
        remedy: "restore the topic or the archive from a copy, or begin another archive", isMistake: false)
    }
    if next > ends {
      throw EventFileError(
        path: folder,
        problem:
          "the archive reaches to offset \(next), but \(partition) ends at \(ends): the topic was created anew",
        remedy: "begin another archive, or check the brokers' address", isMistake: false)
    }
  }
}
