// The one function of fs-native-extensions that is used here; the package comes without types.
declare module "fs-native-extensions" {
  /** Takes an exclusive advisory lock on the open file. False if another open file description holds it. */
  export function tryLock(fd: number): boolean;
}
